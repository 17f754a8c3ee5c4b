/* links: proto_proxy base */
#include "proto/proxy/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy p;
	int n = proxy_parse(data, size, &p);

	if (n > 0 && (size_t)n > size)
		__builtin_trap();
	return 0;
}
