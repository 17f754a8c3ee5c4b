#include "connector-worker/sinks/rabbitmq_error.h"

/* AMQP 0-9-1, 1.2 and the server's own use of it; all else is retried. */
static const struct {
	unsigned code;
	enum sink_outcome outcome;
} codes[] = {
    {311, SINK_REFUSED},	/* content too large */
    {320, SINK_UNAVAILABLE},	/* connection forced: a shutdown */
    {402, SINK_UNAVAILABLE},	/* invalid path: the virtual host */
    {403, SINK_UNAVAILABLE},	/* access refused */
    {404, SINK_UNAVAILABLE},	/* no such exchange */
    {405, SINK_UNAVAILABLE},	/* resource locked */
    {406, SINK_REFUSED},	/* precondition failed: size, user id */
    {501, SINK_REFUSED},	/* frame error */
    {502, SINK_REFUSED},	/* syntax error */
    {506, SINK_UNAVAILABLE},	/* resource error */
    {530, SINK_UNAVAILABLE},	/* not allowed */
    {540, SINK_UNAVAILABLE},	/* not implemented */
    {541, SINK_UNSURE},		/* internal error */
};

enum sink_outcome
rabbitmq_close_outcome(unsigned code, struct slice text)
{
	/* Topic authorisation is by routing key, and so by record. */
	if (code == 403 && text.len > 0 &&
	    memmem(text.p, text.len, "to topic", 8) != NULL)
		return SINK_REFUSED;
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (codes[i].code == code)
			return codes[i].outcome;
	return SINK_RETRYABLE;
}

bool
rabbitmq_close_is_of_one(unsigned code, struct slice text)
{
	return rabbitmq_close_outcome(code, text) == SINK_REFUSED;
}
