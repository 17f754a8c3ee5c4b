/*
 * run - one run_x per command of commands.def; the exit status.
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/api.h"
#include "cli/table.h"

#define COMMAND(group, verb, arguments, options, run, method, path, shows, \
    help)                                                                  \
	int run_##run(const struct invocation *in);
#include "cli/commands.def"
#undef COMMAND

/* How tables look on this stdout. */
struct table_style style_of_stdout(void);
void print_buf(const struct buf *b);
void print_json(struct json_object *o);
/* All rows behind path, page by page; NULL: said why, *exit_status. */
struct json_object *rows_get(const char *path, int *exit_status);
/* The whole file ("-" is stdin) in out; false: said why. */
bool file_read(const char *path, struct buf *out);
/* The path of a file in libexec, beside the programs; the caller frees. */
char *libexec_path(const char *name);

#endif
