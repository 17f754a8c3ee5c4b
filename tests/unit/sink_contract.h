/*
 * sink_contract - no dead options: what a definition says is read by the
 * sink, and the definitions of the test say everything that the table has.
 */
#ifndef TESTS_UNIT_SINK_CONTRACT_H
#define TESTS_UNIT_SINK_CONTRACT_H

#include "sink_rig.h"

#include <criterion/criterion.h>

/* Opens it, sends it a batch and a probe; nothing listens at its target. */
static void
contract_check(const char *definition)
{
	struct rig r;
	const char *unread;

	rig_open(&r, definition);
	rig_add(&r, 3);
	rig_run(&r, 1000);
	cr_assert_eq(flow_under_way(r.flow), 0);
	cr_assert(r.reason[0] != '\0' || r.settled == 1);
	sink_type.probe(r.sink.self);
	unread = options_unread(r.d->options);
	cr_assert_null(unread, "option %s is not read: %s", unread, definition);
	rig_close(&r);
}

__attribute__((unused)) static void
contract_check_all(const char *const *definitions, size_t n)
{
	for (size_t i = 0; i < sink_type.option_count; i++) {
		const char *path = sink_type.options[i].path;
		const char *name = strrchr(path, '.');
		char quoted[100];
		size_t j = 0;

		snprintf(quoted, sizeof(quoted),
		    "\"%s\":", name != NULL ? name + 1 : path);
		while (j < n && strstr(definitions[j], quoted) == NULL)
			j++;
		cr_assert_lt(j, n, "no definition says %s", path);
	}
	for (size_t j = 0; j < n; j++)
		contract_check(definitions[j]);
}

#endif
