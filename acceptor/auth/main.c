/* auth - slow checks of who may come in, and what is stored about it. */
#include "acceptor/auth/attempt.h"
#include "acceptor/auth/desk.h"
#include "acceptor/auth/ops.h"
#include "acceptor/auth/policy.h"
#include "ipc/proc.h"

#include <unistd.h>

static void
on_setup(struct json_object *config)
{
	attempt_init();
	policy_configure(config);
	policy_load();
	proc_ready();
}

static void
on_reconfigure(struct json_object *config)
{
	policy_configure(config);
	desk_tell();
}

static void
on_link(enum ipc_kind kind, const char *name, uint64_t incarnation, int fd)
{
	(void)incarnation;
	if (kind == KIND_ACCEPTOR)
		desk_link(name, fd);
	else
		close(fd);
}

static const struct proc_ops ops = {
    .kind = KIND_AUTH,
    .on_setup = on_setup,
    .on_reconfigure = on_reconfigure,
    .on_link = on_link,
    .on_request = ops_run,
    .on_prepare = desk_prepare,
};

int
main(int argc, char **argv)
{
	return proc_run(&ops, argc, argv);
}
