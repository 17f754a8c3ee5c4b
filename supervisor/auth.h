/*
 * auth - the process that checks who may come in: when there is one, and
 * the files that it is given.
 *
 * It is started when the configuration asks for it, when its database is
 * there from before, or by the first request to it. Its files are read here
 * (they may be root's own) and handed over in its configuration.
 *
 * Architecture, section 1.
 */
#ifndef SUPERVISOR_AUTH_H
#define SUPERVISOR_AUTH_H

#include "supervisor/supervisor.h"

bool auth_is_needed(struct json_object *config);
/* Starts it where there is none. */
struct child *auth_start(void);
/*
 * Reads the files that a configuration names, aside from those in use;
 * false with the reason. auth_files_commit takes them into use, as the very
 * first ones are at once.
 */
bool auth_files_read(struct json_object *config, char *why, size_t size);
void auth_files_commit(void);
/* {"users": text, "acl": text, "jwt_key": text}, each only where it is configured; a loan. */
struct json_object *auth_files(void);
/* After a reload: it and the acceptors are told. */
void auth_reload(void);

#endif
