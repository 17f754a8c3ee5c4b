/*
 * connector-TYPE - carries the records of a stream to one target.
 *
 * Started by the supervisor with its control channel on descriptor 3; by
 * hand it answers --describe, --check and --test (describe.h).
 */
#include "connector-worker/describe.h"
#include "connector-worker/run.h"

#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
	static const struct {
		const char *option;
		int (*mode)(void);
	} modes[] = {{"--describe", mode_describe}, {"--check", mode_check},
	    {"--test", mode_test}};
	struct proc_ops ops = {
		.kind = KIND_WORKER,
		.on_setup = worker_setup,
		.on_reconfigure = worker_reconfigure,
		.on_link = worker_link,
		.on_request = request_handle,
		.on_shutdown = worker_shutdown,
		.on_prepare = worker_turn,
		.keeps_dac_override = sink_type.caps.writes_files,
	};
	size_t i;

	for (i = 0; argc == 2 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[1], modes[i].option) == 0)
			return modes[i].mode();
	if (argc > 1) {
		fprintf(stderr, "usage: %s [--describe | --check | --test]\n",
		    argv[0]);
		return 2;
	}
	return proc_run(&ops, argc, argv);
}
