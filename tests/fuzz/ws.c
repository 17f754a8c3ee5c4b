/* links: proto_ws base crypto */
#include "proto/ws/frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ws_reader r;
	struct ws_event e;
	uint8_t *p = malloc(size + 1);
	size_t at = 0, used;
	enum ws_answer a;

	memcpy(p, data, size);
	ws_reader_init(&r, 1000);
	do {
		a = ws_read(&r, p + at, size - at, &used, &e);
		at += used;
	} while (a == WS_DATA || a == WS_CONTROL);
	free(p);
	return 0;
}
