/* links: sink_webhook worker base */
/*
 * What a web hook's target answers: any bytes, to single requests and to an
 * array that may be split.
 */
#include "sink_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const definitions[] = {
	    "{\"name\":\"w\",\"type\":\"webhook\",\"config\":{"
	    "\"url\":\"http://127.0.0.1:1/${topic}\",\"timeout_ms\":30}}",
	    "{\"name\":\"w\",\"type\":\"webhook\",\"config\":{"
	    "\"url\":\"http://127.0.0.1:1/\",\"timeout_ms\":30,"
	    "\"batch_mode\":\"array\",\"gzip\":true,\"connections\":1}}",
	};

	if (size > 0)
		peer_try(definitions[data[0] & 1], data + 1, size - 1);
	return 0;
}
