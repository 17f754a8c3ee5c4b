/* links: base */
#include "base/json_text.h"
#include "base/template.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A template and a payload, with a NUL between them. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *cut = size == 0 ? NULL : memchr(data, '\0', size);
	size_t n = cut == NULL ? size : (size_t)(cut - data);
	struct record rec = {.topic = SLICE_LIT("a/b"),
	    .stream = SLICE_LIT("s"), .client_id = SLICE_LIT("\xff")};
	struct template_input in;
	struct template *t;
	enum value_kind kind;
	const char *why;
	char fault[200];
	struct buf out;

	t = template_parse(slice_of(data, n), fault, sizeof(fault));
	if (t == NULL)
		return 0;
	rec.payload = cut == NULL ? SLICE_NULL :
	    slice_of(cut + 1, size - n - 1);
	buf_init(&out);
	template_input_init(&in);
	template_input_set(&in, &rec);
	template_render(t, &in, &out, template_escape_json, &why);
	template_render(t, &in, &out, NULL, &why);
	template_value(t, &in, &out, &kind, &why);
	buf_clear(&out);
	record_json_add(&out, &rec, template_input_json(&in));
	/* The default JSON is always JSON but for the depth it adds. */
	if (slice_is_null(template_input_json(&in)) &&
	    !json_check(buf_slice(&out)))
		__builtin_trap();
	template_input_fini(&in);
	template_free(t);
	buf_fini(&out);
	return 0;
}
