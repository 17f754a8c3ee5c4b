#include "acceptor/mqtt/parcels.h"

#define KEPT 4096	/* memory that an empty queue may keep */

void
parcels_fini(struct parcels *p)
{
	buf_fini(&p->bytes);
	p->count = 0;
}

uint8_t *
parcels_add(struct parcels *p, const struct parcel *parcel)
{
	uint8_t *at = buf_reserve(&p->bytes, sizeof(*parcel) + parcel->size);

	memcpy(at, parcel, sizeof(*parcel));
	buf_commit(&p->bytes, sizeof(*parcel) + parcel->size);
	p->count++;
	return at + sizeof(*parcel);
}

uint8_t *
parcels_peek(const struct parcels *p, struct parcel *parcel)
{
	if (p->count == 0)
		return NULL;
	memcpy(parcel, buf_data(&p->bytes), sizeof(*parcel));
	return p->bytes.p + p->bytes.off + sizeof(*parcel);
}

void
parcels_remove(struct parcels *p)
{
	struct parcel first;

	if (parcels_peek(p, &first) == NULL)
		return;
	buf_consume(&p->bytes, sizeof(first) + first.size);
	if (--p->count == 0)
		buf_trim(&p->bytes, KEPT);
}
