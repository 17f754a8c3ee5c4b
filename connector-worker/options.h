/*
 * options - the values of a type's `config`, checked, with their templates
 * parsed; each remembers whether it was read (sink.h has the getters).
 */
#ifndef CONNECTOR_WORKER_OPTIONS_H
#define CONNECTOR_WORKER_OPTIONS_H

#include "connector-worker/sink.h"

/*
 * config: what schema_check made of it, or NULL when it was refused; base:
 * how it is called in faults ("config"). Broken templates are faults. The
 * json is kept (json_object_get).
 */
struct sink_options *options_new(const struct sink_type *type,
    struct json_object *config, const struct doc_node *doc, const char *base,
    struct faults *faults);
void options_free(struct sink_options *o);

/*
 * Before work begins: a template that is still a reference to a secret is a
 * fault now.
 */
void options_check_templates(const struct sink_options *o,
    struct faults *faults);

/* The first option that was set or has a default and was never read. */
const char *options_unread(const struct sink_options *o);
void options_forget_reads(struct sink_options *o);

#endif
