/*
 * json_path - ".a.b[0]" and a scan of checked JSON for what stands there.
 *
 * Steps are ".name" (letters, digits, '_', '-' and all beyond ASCII),
 * ["any text"] as a JSON string, and [n]. No steps at all name the whole.
 * Where an object has a name more than once, the first is taken.
 */
#ifndef BASE_JSON_PATH_H
#define BASE_JSON_PATH_H

#include "base/slice.h"

struct json_path;

/*
 * Parses as far as there are steps; *used says how far. NULL with a text in
 * *fault if a step is broken.
 */
struct json_path *json_path_parse(struct slice text, size_t *used,
    const char **fault);
void json_path_free(struct json_path *path);
size_t json_path_steps(const struct json_path *path);
/* doc: one value, already checked (json_value). False: nothing is there. */
bool json_path_find(const struct json_path *path, struct slice doc,
    struct slice *value);

#endif
