#include "acceptor/auth/desk.h"

#include "acceptor/auth/attempt.h"
#include "acceptor/auth/policy.h"
#include "base/mem.h"
#include "ipc/link.h"
#include "ipc/proc.h"

#include <stdlib.h>

struct acceptor {
	struct acceptor *next;
	uint64_t number;	/* never used twice */
	struct link *link;
	struct ipc_batch answers;
};

static struct {
	struct acceptor *first;
	uint64_t last_number;
} desk;

/* ---- what acceptors are told ---------------------------------------------- */

static void
tell_rules(struct link *l)
{
	struct ipc_batch batch = {0};
	struct ipc_auth_policy m = {
	    .needs_login = policy_needs_login(),
	    .takes_anonymous = policy.allow_anonymous,
	    .denies_rest = policy_denies_rest()};

	for (size_t i = 0; i < policy.rule_count; i++) {
		ipc_add_auth_rule(&batch, &(struct ipc_auth_rule){
		    slice_str(policy.rules[i].line)});
		if (buf_len(&batch.bytes) < IPC_BATCH_MAX)
			continue;
		m.more = 1;
		m.rules = ipc_batch_list(&batch);
		link_put_auth_policy(l, &m);
		ipc_batch_clear(&batch);
	}
	m.more = 0;
	m.rules = ipc_batch_list(&batch);
	link_put_auth_policy(l, &m);
	buf_fini(&batch.bytes);
}

static void
tell_bans(struct link *l)
{
	struct ipc_batch batch = {0};
	struct ipc_auth_bans m = {0};

	for (size_t i = 0; i < policy.ban_count; i++) {
		ipc_add_auth_ban(&batch, &(struct ipc_auth_ban){
		    policy.bans[i].kind, slice_str(policy.bans[i].value),
		    policy.bans[i].until_ms});
		if (buf_len(&batch.bytes) < IPC_BATCH_MAX)
			continue;
		m.more = 1;
		m.bans = ipc_batch_list(&batch);
		link_put_auth_bans(l, &m);
		ipc_batch_clear(&batch);
	}
	m.more = 0;
	m.bans = ipc_batch_list(&batch);
	link_put_auth_bans(l, &m);
	buf_fini(&batch.bytes);
}

void
desk_tell(void)
{
	for (struct acceptor *a = desk.first; a != NULL; a = a->next) {
		tell_rules(a->link);
		tell_bans(a->link);
	}
}

void
desk_end(struct slice username)
{
	for (struct acceptor *a = desk.first; a != NULL; a = a->next)
		link_put_auth_gone(a->link,
		    &(struct ipc_auth_gone){username});
}

void
desk_answer(uint64_t acceptor, const struct ipc_auth_answer *answer)
{
	struct acceptor *a = desk.first;

	while (a != NULL && a->number != acceptor)
		a = a->next;
	if (a != NULL)
		ipc_add_auth_answer(&a->answers, answer);
}

void
desk_prepare(void)
{
	for (struct acceptor *a = desk.first; a != NULL; a = a->next) {
		if (a->answers.count == 0)
			continue;
		link_put_auth_result(a->link, &(struct ipc_auth_result){
		    ipc_batch_list(&a->answers)});
		ipc_batch_clear(&a->answers);
		buf_trim(&a->answers.bytes, IPC_BATCH_MAX);
	}
}

/* ---- what they ask -------------------------------------------------------- */

static bool
on_check(struct link *l, struct frame *f)
{
	struct acceptor *a = link_arg(l);
	struct ipc_list items = f->u.auth_check.items;
	struct ipc_auth_ask ask;
	int more;

	while ((more = ipc_next_auth_ask(&items, &ask)) > 0)
		attempt_begin(a->number, &ask);
	return more == 0;
}

static bool
on_cancel(struct link *l, struct frame *f)
{
	struct acceptor *a = link_arg(l);

	attempt_cancel(a->number, f->u.auth_cancel.conn);
	return true;
}

static void
on_close(struct link *l, const char *reason)
{
	struct acceptor *a = link_arg(l), **at = &desk.first;

	(void)reason;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	attempt_cancel_all(a->number);
	buf_fini(&a->answers.bytes);
	link_free(l);
	free(a);
}

static link_handler *const handlers[IPC_TYPE_MAX + 1] = {
    [IPC_AUTH_CHECK] = on_check,
    [IPC_AUTH_CANCEL] = on_cancel,
};

static const struct link_ops link_ops = {.on = handlers,
    .on_close = on_close};

void
desk_link(const char *name, int fd)
{
	struct acceptor *a = mem_zalloc(1, sizeof(*a));

	a->number = ++desk.last_number;
	a->next = desk.first;
	desk.first = a;
	a->link = link_new(proc_loop(), fd, KIND_AUTH, KIND_ACCEPTOR, name,
	    proc_incarnation(), &link_ops, a);
	tell_rules(a->link);
	tell_bans(a->link);
}
