/*
 * boot - from the command line to a running tree, and to its end.
 *
 * The exit status: 0 stopped in order, 1 could not start, 2 the command
 * line or the configuration is refused.
 */
#ifndef SUPERVISOR_BOOT_H
#define SUPERVISOR_BOOT_H

struct boot_options {
	const char *config;	/* NULL: /etc/bulkhead/bulkhead.yaml if it is */
	const char *data;
	const char *listen;
	unsigned port_offset;
};

int boot_run(const struct boot_options *);

#endif
