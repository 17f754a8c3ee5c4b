#include "cli/api.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/mem.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_SYSTEM "/var/lib/bulkhead/admin.sock"
#define SOCKET_HERE "data/admin.sock"
#define RETRIES 12		/* of a question, never of a change: beyond the 1 s
				   that the supervisor waits at most */
#define RETRY_MS 200
#define ANSWER_MAX ((size_t)256 << 20)

static struct {
	char path[4096];	/* what is shown */
	char target[256];	/* what is connected to */
	int folder;		/* of a path that is too long for a socket */
	int pid;
	CURL *curl;
} api = {.folder = -1};

void
complain(const char *fmt, ...)
{
	va_list ap;
	char text[8192];

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *s = text; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
	fflush(stdout);
	fprintf(stderr, "bulkhead: %s\n", text);
}

/* ---- the socket ------------------------------------------------------------ */

/* A path that fits into a sockaddr, by way of its folder if it must. */
static bool
socket_target(const char *path)
{
	const char *name = strrchr(path, '/');
	char folder[4096];

	if (strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path)) {
		snprintf(api.target, sizeof(api.target), "%s", path);
		return true;
	}
	if (name == NULL || strlen(path) >= sizeof(folder))
		return false;
	snprintf(folder, sizeof(folder), "%.*s", (int)(name - path), path);
	if (api.folder != -1)
		close(api.folder);
	api.folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (api.folder == -1)
		return false;
	snprintf(api.target, sizeof(api.target), "/proc/self/fd/%d/%.64s",
	    api.folder, name + 1);
	return true;
}

/* Somebody listens there: 0, else errno. */
static int
socket_try(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd, error = 0;

	if (!socket_target(path))
		return ENAMETOOLONG;
	memcpy(sa.sun_path, api.target,
	    strnlen(api.target, sizeof(sa.sun_path) - 1));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == -1)
		error = errno;
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		api.pid = peer.pid;
	close(fd);
	if (error == 0)
		snprintf(api.path, sizeof(api.path), "%s", path);
	return error;
}

static bool
socket_open(const char *path)
{
	int error = socket_try(path);

	if (error == 0)
		return true;
	if (error == EACCES)
		complain("%s: permission denied; run it as the user of the "
		    "broker", path);
	else
		complain("nothing runs at %s (%s); start it with `bulkhead "
		    "run`", path, strerror(error));
	return false;
}

bool
api_open(const struct invocation *in)
{
	const char *path = in->values[OPTION_SOCKET];

	if (api.path[0] != '\0')
		return true;
	if (path == NULL)
		path = getenv("BULKHEAD_SOCKET");
	if (path != NULL && path[0] != '\0')
		return socket_open(path);
	if (socket_try(SOCKET_SYSTEM) == 0 || socket_try(SOCKET_HERE) == 0)
		return true;
	complain("nothing runs at %s or %s; start it with `bulkhead run` or "
	    "name the socket with --socket", SOCKET_SYSTEM, SOCKET_HERE);
	return false;
}

const char *
api_socket(void)
{
	return api.target;
}

int
api_server_pid(void)
{
	return api.pid;
}

/* ---- requests --------------------------------------------------------------- */

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct buf *b = arg;

	if (size * n > ANSWER_MAX - buf_len(b))
		return 0;
	buf_add(b, p, size * n);
	return size * n;
}

static void
curl_prepare(const char *method, const char *path, char *error)
{
	char url[8192];

	if (api.curl == NULL) {
		curl_global_init(CURL_GLOBAL_DEFAULT);
		api.curl = curl_easy_init();
		if (api.curl == NULL)
			abort();
	}
	/* Keeps the connection. */
	curl_easy_reset(api.curl);
	error[0] = '\0';
	snprintf(url, sizeof(url), "http://localhost/api/v1%s", path);
	curl_easy_setopt(api.curl, CURLOPT_URL, url);
	curl_easy_setopt(api.curl, CURLOPT_UNIX_SOCKET_PATH, api.target);
	curl_easy_setopt(api.curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(api.curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(api.curl, CURLOPT_PROXY, "");
	curl_easy_setopt(api.curl, CURLOPT_NOSIGNAL, 1L);
}

/* The API's own words: message, then each detail that adds to it. */
static void
complain_of(unsigned status, struct json_object *body)
{
	struct json_object *error = json_member(body, "error");
	struct json_object *details = json_member(error, "details"), *d;
	const char *message = json_get_str(error, "message", NULL), *text;
	struct buf b;

	if (message == NULL) {
		complain("the API answered with status %u", status);
		return;
	}
	buf_init(&b);
	buf_add_str(&b, message);
	for (size_t i = 0; json_object_is_type(details, json_type_array) &&
	    i < json_object_array_length(details); i++) {
		d = json_object_array_get_idx(details, i);
		text = json_get_str(d, "message", "");
		if (strstr(message, text) != NULL)
			continue;
		buf_addf(&b, "; %s%s%s", json_get_str(d, "path", ""),
		    json_get_str(d, "path", "")[0] != '\0' ? ": " : "", text);
		if (json_get_u64(d, "line", 0) > 0)
			buf_addf(&b, " (line %llu, column %llu)",
			    (unsigned long long)json_get_u64(d, "line", 0),
			    (unsigned long long)json_get_u64(d, "column", 0));
	}
	complain("%s", buf_cstr(&b));
	buf_fini(&b);
}

/* Tells the failure of a transfer; the exit status. */
static int
fail_of(CURLcode rc, const char *error)
{
	if (rc == CURLE_COULDNT_CONNECT) {
		complain("nothing runs at %s any more", api.path);
		return EXIT_NOT_RUNNING;
	}
	complain("%s: %s", api.path,
	    error[0] != '\0' ? error : curl_easy_strerror(rc));
	return EXIT_FAILED;
}

static int
exit_of(unsigned status)
{
	return status == 400 || status == 413 || status == 422 ? EXIT_USAGE :
	    EXIT_FAILED;
}

/*
 * The admin-server died with our question, or is being started again (the
 * socket was there a moment ago): its successor answers.
 */
static bool
is_lost(CURLcode rc)
{
	return rc == CURLE_COULDNT_CONNECT || rc == CURLE_GOT_NOTHING || rc == CURLE_RECV_ERROR ||
	    rc == CURLE_SEND_ERROR || rc == CURLE_PARTIAL_FILE;
}

bool
api_send(const char *method, const char *path, const char *type,
    struct slice body, struct api_answer *answer, int *exit_status)
{
	struct curl_slist *headers = NULL;
	char error[CURL_ERROR_SIZE], header[128];
	struct buf got;
	long status = 0;
	CURLcode rc;

	buf_init(&got);
	curl_prepare(method, path, error);
	curl_easy_setopt(api.curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(api.curl, CURLOPT_WRITEDATA, &got);
	if (type != NULL) {
		snprintf(header, sizeof(header), "Content-Type: %s", type);
		headers = curl_slist_append(headers, header);
		headers = curl_slist_append(headers, "Expect:");
		curl_easy_setopt(api.curl, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)body.len);
		curl_easy_setopt(api.curl, CURLOPT_POSTFIELDS,
		    (const char *)body.p);
		curl_easy_setopt(api.curl, CURLOPT_HTTPHEADER, headers);
	}
	for (int tries = 0;; tries++) {
		buf_clear(&got);
		rc = curl_easy_perform(api.curl);
		if (!is_lost(rc) || strcmp(method, "GET") != 0 ||
		    tries == RETRIES)
			break;
		nanosleep(&(struct timespec){0, RETRY_MS * 1000000L}, NULL);
	}
	curl_easy_getinfo(api.curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	*answer = (struct api_answer){.status = (unsigned)status,
	    .body = json_parse(buf_slice(&got))};
	buf_fini(&got);
	if (rc == CURLE_OK && status < 400)
		return true;
	if (rc != CURLE_OK) {
		*exit_status = fail_of(rc, error);
	} else {
		complain_of(answer->status, answer->body);
		*exit_status = exit_of(answer->status);
	}
	api_answer_fini(answer);
	return false;
}

bool
api_call(const char *method, const char *path, struct json_object *body,
    struct api_answer *answer, int *exit_status)
{
	return api_send(method, path, body == NULL ? NULL : "application/json",
	    body == NULL ? SLICE_EMPTY : json_text(body), answer, exit_status);
}

void
api_answer_fini(struct api_answer *answer)
{
	json_object_put(answer->body);
	answer->body = NULL;
}

/* ---- streams ---------------------------------------------------------------- */

struct lines {
	struct buf buf;
	bool (*on_line)(void *, struct slice);
	void *arg;
	bool is_over;
};

static size_t
on_lines(char *p, size_t size, size_t n, void *arg)
{
	struct lines *l = arg;
	const uint8_t *end;
	struct slice s;
	long status = 0;

	buf_add(&l->buf, p, size * n);
	curl_easy_getinfo(api.curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 400)
		return size * n;	/* an error is read whole */
	for (;;) {
		s = buf_slice(&l->buf);
		end = memchr(s.p, '\n', s.len);
		if (end == NULL)
			break;
		s.len = (size_t)(end - s.p);
		if (!l->on_line(l->arg, s)) {
			l->is_over = true;
			return 0;
		}
		buf_consume(&l->buf, s.len + 1);
	}
	fflush(stdout);
	return size * n;
}

int
api_stream(const char *path, bool (*on_line)(void *arg, struct slice),
    void *arg)
{
	struct lines l = {.on_line = on_line, .arg = arg};
	char error[CURL_ERROR_SIZE];
	struct json_object *body;
	int exit_status = EXIT_DONE;
	long status = 0;
	CURLcode rc;

	buf_init(&l.buf);
	curl_prepare("GET", path, error);
	curl_easy_setopt(api.curl, CURLOPT_WRITEFUNCTION, on_lines);
	curl_easy_setopt(api.curl, CURLOPT_WRITEDATA, &l);
	rc = curl_easy_perform(api.curl);
	curl_easy_getinfo(api.curl, CURLINFO_RESPONSE_CODE, &status);
	if (rc != CURLE_OK && !l.is_over) {
		exit_status = fail_of(rc, error);
	} else if (status >= 400) {
		body = json_parse(buf_slice(&l.buf));
		complain_of((unsigned)status, body);
		json_object_put(body);
		exit_status = exit_of((unsigned)status);
	}
	fflush(stdout);
	buf_fini(&l.buf);
	return exit_status;
}

/* ---- paths ------------------------------------------------------------------- */

char *
api_path(const char *pattern, const struct invocation *in)
{
	struct buf b;
	char *path;
	size_t i;

	buf_init(&b);
	for (; *pattern != '\0'; pattern++) {
		if (*pattern != '{') {
			buf_add_u8(&b, (uint8_t)*pattern);
			continue;
		}
		i = (size_t)(pattern[1] - '1');
		if (i < in->argument_count)
			percent_add(&b, slice_str(in->arguments[i]));
		pattern += 2;
	}
	path = slice_dup(buf_slice(&b));
	buf_fini(&b);
	return path;
}

char *
api_query(char *path, const char *name, const char *value)
{
	struct buf b;
	char *out;

	buf_init(&b);
	buf_addf(&b, "%s%s%s=", path, strchr(path, '?') == NULL ? "?" : "&",
	    name);
	percent_add(&b, slice_str(value));
	out = slice_dup(buf_slice(&b));
	buf_fini(&b);
	free(path);
	return out;
}
