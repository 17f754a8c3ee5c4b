#include "base/mem.h"
#include "connector-worker/conn.h"
#include "connector-worker/http_batch.h"
#include "connector-worker/http_url.h"

#include <stdlib.h>
#include <string.h>

char *
http_server_url(const char *text, bool is_https, const char **wrong)
{
	char *url =
	    strstr(text, "://") != NULL
		? mem_strdup(text)
		: mem_printf("%s://%s", is_https ? "https" : "http", text);
	size_t n = strlen(url);
	struct http_url u;

	while (n > 0 && url[n - 1] == '/')
		url[--n] = '\0';
	*wrong = http_url_check(slice_str(url), true, &u);
	if (*wrong == NULL && memchr(u.rest.p, '?', u.rest.len) != NULL)
		*wrong = "it may not have a query";
	if (*wrong == NULL)
		return url;
	free(url);
	return NULL;
}

void
http_server_validate(const struct sink_options *o, struct faults *faults,
    const char *name, bool is_https)
{
	const char *text = opt_string(o, name), *wrong;
	char *url;

	conn_tls_validate(o, faults);
	if (text == NULL)
		return;
	url = http_server_url(
	    text, is_https || opt_bool(o, "tls.enable"), &wrong);
	if (url == NULL) {
		sink_fault(o, faults, name, "%s", wrong);
		return;
	}
	if (strncasecmp(url, "https:", 6) != 0 && opt_bool(o, "tls.enable"))
		sink_fault(
		    o, faults, name, "is not https, and tls.enable is set");
	free(url);
}

/*
 * The certificate is checked against the host of the URL, so with a
 * server_name that becomes the URL's host, and CONNECT_TO leads to the real
 * one.
 */
char *
http_server_rename(char *url, const char *name, struct curl_slist **connect_to)
{
	struct http_url u;
	bool is_v6;
	char *line, *renamed;

	if (http_url_check(slice_str(url), true, &u) != NULL || !u.is_https)
		return url;
	is_v6 = memchr(u.host.p, ':', u.host.len) != NULL;
	line = mem_printf("%s:%d:%s%.*s%s:%d", name, u.port, is_v6 ? "[" : "",
	    SLICE_ARG(u.host), is_v6 ? "]" : "", u.port);
	*connect_to = curl_slist_append(*connect_to, line);
	free(line);
	renamed =
	    mem_printf("https://%s:%d%.*s", name, u.port, SLICE_ARG(u.rest));
	free(url);
	return renamed;
}

void
http_tls_setup(CURL *easy, const struct sink_options *o)
{
	const char *ca = opt_string(o, "tls.ca_file");
	const char *cert = opt_string(o, "tls.cert_file");
	const char *key = opt_string(o, "tls.key_file");
	long verify = opt_bool(o, "tls.verify");

	(void)opt_bool(o, "tls.enable"); /* validate has seen to it */
	if (ca != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
	if (cert != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, cert);
	if (key != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, key);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
}

void
http_basic_setup(CURL *easy, const struct sink_options *o)
{
	if (opt_string(o, "username") == NULL)
		return;
	curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	curl_easy_setopt(easy, CURLOPT_USERNAME, opt_string(o, "username"));
	curl_easy_setopt(easy, CURLOPT_PASSWORD, opt_string(o, "password"));
}
