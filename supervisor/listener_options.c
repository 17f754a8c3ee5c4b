#include "supervisor/listener_options.h"

#include "base/json.h"
#include "base/mem.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define TICKETS 3
#define TICKET_BYTES 80	/* name 16, MAC 32, cipher 32 */

static char tickets[TICKETS][2 * TICKET_BYTES + 1];

void
tickets_turn(void)
{
	uint8_t key[TICKET_BYTES];
	size_t i;

	memmove(tickets[1], tickets[0], sizeof(tickets) - sizeof(tickets[0]));
	/* No key at all is safe: nothing is resumed then. */
	tickets[0][0] = '\0';
	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return;
	for (i = 0; i < sizeof(key); i++)
		snprintf(tickets[0] + 2 * i, 3, "%02x", key[i]);
	explicit_bzero(key, sizeof(key));
}

static bool
file_add(struct json_object *tls, const char *option, const char *member,
    char *why, size_t size)
{
	const char *file = json_get_str(tls, option, NULL);
	struct buf text;
	bool is_read;

	if (file == NULL)
		return true;
	buf_init(&text);
	is_read = reload_read(file, &text, why, size);
	if (is_read)
		json_add_slice(tls, member, buf_slice(&text));
	if (text.p != NULL)
		explicit_bzero(text.p, text.cap);
	buf_fini(&text);
	return is_read;
}

static bool
tls_fill(struct json_object *tls, char *why, size_t size)
{
	static const char *const files[][2] = {{"cert_file", "cert"},
	    {"key_file", "key"}, {"ca_file", "ca"}, {"psk_file", "psk"}};
	struct json_object *keys = json_object_new_array();
	size_t i;

	for (i = 0; i < TICKETS && tickets[i][0] != '\0'; i++)
		json_object_array_add(keys,
		    json_object_new_string(tickets[i]));
	json_object_object_add(tls, "tickets", keys);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!file_add(tls, files[i][0], files[i][1], why, size))
			return false;
	return true;
}

char *
listener_options(struct json_object *listener, char *why, size_t size)
{
	const char *transport = json_get_str(listener, "transport", "");
	struct json_object *o = NULL;
	char *text = NULL;

	if (json_object_deep_copy(listener, &o, NULL) != 0)
		return NULL;
	if ((strcmp(transport, "tls") != 0 && strcmp(transport, "wss") != 0) ||
	    tls_fill(json_member(o, "tls"), why, size))
		text = mem_strdup(json_object_to_json_string_ext(o,
		    JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	return text;
}
