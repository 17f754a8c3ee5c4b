#include "base/crc32c.h"

#include <isa-l/crc.h>
#include <limits.h>

uint32_t
crc32c(struct slice s)
{
	uint32_t crc = 0xffffffffu;

	/* isa-l takes an int, and a pointer that it only reads through. */
	while (s.len > 0) {
		size_t n = s.len < INT_MAX ? s.len : INT_MAX;

		crc = crc32_iscsi((unsigned char *)(uintptr_t)s.p, (int)n,
		    crc);
		s.p += n;
		s.len -= n;
	}
	return crc ^ 0xffffffffu;
}
