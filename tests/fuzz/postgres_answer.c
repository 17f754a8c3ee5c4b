/* links: sink_postgres worker base */
/*
 * What a PostgreSQL server answers, from the login on: any bytes, while the
 * sink looks the table up, prepares, inserts, or searches for a bad row.
 */
#include "sink_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SERVER                                                                 \
	"\"host\":\"127.0.0.1\",\"port\":1,\"database\":\"d\","                \
	"\"username\":\"u\",\"password\":\"p\",\"sslmode\":\"disable\","       \
	"\"timeout_ms\":100"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const definitions[] = {
	    "{\"name\":\"p\",\"type\":\"postgres\",\"config\":{" SERVER ","
	    "\"table\":\"t\",\"columns\":{\"id\":\"${id}\","
	    "\"n\":\"${payload.n}\"},\"key_columns\":[\"id\"]}}",
	    "{\"name\":\"p\",\"type\":\"postgres\",\"config\":{" SERVER ","
	    "\"table\":\"t\",\"key_columns\":[\"id\"],\"use_copy\":true}}",
	    "{\"name\":\"p\",\"type\":\"postgres\",\"config\":{" SERVER ","
	    "\"sql\":\"insert into t values (${id}, ${payload.n})\"}}",
	};

	if (size > 0)
		peer_try(definitions[data[0] % 3], data + 1, size - 1);
	return 0;
}
