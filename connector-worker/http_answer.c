#include "connector-worker/http_answer.h"

/*
 * The first row that covers the status counts. What the record is to blame
 * for is refused; what every request would get is unavailable; the rest may
 * be different the next time.
 */
static const struct {
	long first, last;
	enum sink_outcome outcome;
} outcomes[] = {
    {200, 299, SINK_DELIVERED},
    {401, 401, SINK_UNAVAILABLE}, /* a refused login */
    {403, 403, SINK_UNAVAILABLE},
    {407, 407, SINK_UNAVAILABLE},
    {404, 404, SINK_RETRYABLE}, /* an endpoint being deployed */
    {408, 409, SINK_RETRYABLE}, /* 409: the same id is under way */
    {421, 421, SINK_RETRYABLE},
    {423, 425, SINK_RETRYABLE},
    {429, 429, SINK_UNAVAILABLE},
    {400, 499, SINK_REFUSED},
    {502, 502, SINK_UNSURE}, /* what is behind a gateway */
    {503, 503, SINK_UNAVAILABLE},
    {504, 504, SINK_UNSURE},
    {500, 599, SINK_RETRYABLE},
};

enum sink_outcome
http_answer_outcome(long status)
{
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++)
		if (status >= outcomes[i].first && status <= outcomes[i].last)
			return outcomes[i].outcome;
	return SINK_UNSURE;
}

bool
http_answer_is_up(long status)
{
	return status >= 200 && status != 429 && status != 502 &&
	       status != 503 && status != 504;
}
