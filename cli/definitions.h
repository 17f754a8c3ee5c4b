/*
 * definitions - the connectors that a file defines, as JSON.
 *
 * A file holds one definition with its name, or a map {NAME: definition},
 * or a whole `connectors:` map. Scalars keep what was written: a plain one
 * that is a JSON number, true, false or null becomes that, all others are
 * strings; the broker's own schema says what they mean. Pure.
 */
#ifndef CLI_DEFINITIONS_H
#define CLI_DEFINITIONS_H

#include "base/fault.h"

/* A list of definitions, each with `name`; NULL with a fault. */
struct json_object *definitions_of(struct slice text, struct faults *faults);

#endif
