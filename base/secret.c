#include "base/secret.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *
system_env(const char *name)
{
	return getenv(name);
}

static char *
system_file(const char *path, const char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text;
	ssize_t n;
	size_t len = 0;

	if (fd < 0) {
		*why = strerror(errno);
		return NULL;
	}
	text = mem_alloc(SECRET_FILE_MAX + 2);
	while ((n = read(fd, text + len, SECRET_FILE_MAX + 1 - len)) > 0)
		len += (size_t)n;
	*why = n < 0 ? strerror(errno) : NULL;
	if (n == 0 && memchr(text, '\0', len) != NULL)
		*why = "a NUL character in it";
	if (len > SECRET_FILE_MAX)
		*why = "more than 65536 bytes";
	close(fd);
	if (*why != NULL) {
		free(text);
		return NULL;
	}
	if (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	return text;
}

const struct secret_source secret_system = {system_env, system_file};

bool
secret_is_reference(const char *text)
{
	return strstr(text, "${env:") != NULL || strstr(text, "${file:") != NULL;
}

static bool
reference_add(const char *name, bool is_file, const struct secret_source *src,
    struct buf *out, char *why, size_t size)
{
	const char *text, *reason = NULL;
	char *file;

	if (!is_file) {
		text = src->env(name);
		if (text != NULL)
			buf_add_str(out, text);
		else
			snprintf(why, size,
			    "environment variable %s is not set", name);
		return text != NULL;
	}
	if (name[0] != '/') {
		snprintf(why, size, "${file:%s} is not an absolute path", name);
		return false;
	}
	file = src->file(name, &reason);
	if (file == NULL) {
		snprintf(why, size, "cannot read %s: %s", name, reason);
		return false;
	}
	buf_add_str(out, file);
	free(file);
	return true;
}

char *
secret_resolve(const char *text, const struct secret_source *src, char *why,
    size_t size)
{
	const char *end;
	struct buf out;
	char *name, *whole = NULL;
	bool is_env, is_file, is_ok = true;

	buf_init(&out);
	while (*text != '\0' && is_ok) {
		is_env = strncmp(text, "${env:", 6) == 0;
		is_file = strncmp(text, "${file:", 7) == 0;
		end = is_env || is_file ? strchr(text, '}') : NULL;
		if ((is_env || is_file) && end == NULL) {
			snprintf(why, size, "%s is not closed by a brace",
			    is_env ? "${env:" : "${file:");
			is_ok = false;
			continue;
		}
		if (end == NULL) {
			buf_add_u8(&out, (uint8_t)*text++);
			continue;
		}
		text += is_env ? 6 : 7;
		name = slice_dup(slice_of(text, (size_t)(end - text)));
		is_ok = reference_add(name, is_file, src, &out, why, size);
		free(name);
		text = end + 1;
	}
	if (is_ok)
		whole = mem_strdup(buf_cstr(&out));
	buf_fini(&out);
	return whole;
}
