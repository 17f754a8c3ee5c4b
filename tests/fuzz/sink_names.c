/* links: worker base */
/*
 * Names and URLs of a definition, and what is made of a target's texts: each
 * is refused or gives what cannot mean anything else.
 */
#include "base/utf8.h"
#include "connector-worker/excerpt.h"
#include "connector-worker/http_url.h"
#include "connector-worker/sql_state.h"
#include "connector-worker/sql_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(bool is_true)
{
	if (!is_true)
		abort();
}

/* Read back: quoted parts between dots and nothing else. */
static void
check_table(struct slice text)
{
	struct buf b;
	bool is_quoted = false;

	buf_init(&b);
	if (sql_table_add(&b, text) == NULL) {
		const uint8_t *p = buf_data(&b);

		for (size_t i = 0; i < buf_len(&b); i++) {
			if (p[i] == '"')
				is_quoted = !is_quoted;
			else
				expect(is_quoted || p[i] == '.');
		}
		expect(!is_quoted);
	}
	buf_fini(&b);
}

static void
check_statement(struct slice text)
{
	static struct slice params[SQL_PARAMS_MAX];
	struct buf b;
	size_t n;

	buf_init(&b);
	if (sql_params_take(text, &b, params, &n) == NULL)
		for (size_t i = 0; i < n; i++)
			expect(
			    params[i].len >= 3 && params[i].p >= text.p &&
			    params[i].p + params[i].len <= text.p + text.len);
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of(data, size);
	struct http_url u;
	struct buf b;

	check_table(text);
	check_statement(text);
	if (http_url_check(text, size % 2 == 0, &u) == NULL)
		expect(u.host.len > 0 && u.port > 0 &&
		       u.rest.p + u.rest.len == text.p + text.len);
	buf_init(&b);
	excerpt_add(&b, text, 100);
	expect(buf_len(&b) <= 100 && utf8_check(buf_slice(&b)));
	(void)sql_state_verdict(buf_cstr(&b));
	buf_fini(&b);
	return 0;
}
