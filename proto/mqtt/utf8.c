#include "proto/mqtt/utf8.h"

#include "base/utf8.h"

bool
mqtt_utf8_check(struct slice s)
{
	return utf8_check(s) &&
	    (s.len == 0 || memchr(s.p, '\0', s.len) == NULL);
}
