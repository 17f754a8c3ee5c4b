/*
 * `connector test`: the type's program looks at its target in a process of
 * its own, and is waited for without holding anybody up.
 */
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tool.h"
#include "supervisor/connector.h"
#include "supervisor/data.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_S 60.
#define TRIALS_MAX 8
#define ANSWER_MAX (1 << 20)

struct trial {
	struct answer answer;
	ev_io dead;
	ev_timer limit;
	int pidfd;
	int output;
	bool is_late;
};

static unsigned under_way;

static struct json_object *
output_read(int fd)
{
	struct json_object *o = NULL;
	struct stat st;
	struct buf text;
	size_t n;

	if (fstat(fd, &st) == -1 || st.st_size > ANSWER_MAX)
		return NULL;
	n = (size_t)st.st_size;
	buf_init(&text);
	if (pread(fd, buf_reserve(&text, n + 1), n, 0) == st.st_size) {
		buf_commit(&text, n);
		o = json_parse(buf_slice(&text));
	}
	buf_fini(&text);
	return o;
}

static void
on_dead(struct ev_loop *loop, ev_io *w, int events)
{
	struct trial *t = w->data;
	struct json_object *o;
	siginfo_t info = {0};

	(void)events;
	if (waitid(P_PIDFD, (id_t)t->pidfd, &info, WEXITED | WNOHANG) == -1 ||
	    info.si_pid == 0)
		return;
	ev_io_stop(loop, &t->dead);
	ev_timer_stop(loop, &t->limit);
	o = output_read(t->output);
	if (t->is_late)
		answer_error(t->answer, 504, "timeout",
		    "the test did not end in %d s", (int)TRIAL_S);
	else if (json_object_is_type(o, json_type_object))
		answer_json(t->answer, 200, json_object_get(o));
	else
		answer_error(t->answer, 502, "no_answer", "the type's program "
		    "ended with %s %d and said nothing",
		    info.si_code == CLD_EXITED ? "status" : "signal",
		    info.si_status);
	json_object_put(o);
	close(t->pidfd);
	close(t->output);
	free(t);
	under_way--;
}

static void
on_limit(struct ev_loop *loop, ev_timer *w, int events)
{
	struct trial *t = w->data;

	(void)loop;
	(void)events;
	t->is_late = true;
	pidfd_send_signal(t->pidfd, SIGKILL, NULL, 0);
}

static bool
trial_start(struct trial *t, const char *type, struct slice definition)
{
	const struct connector_type *known = types_find(&tree.types, type);
	char path[4200];
	struct tool tool = {.path = path, .argument = "--test",
	    .uid = tree.is_root ? UID_WORKER : 0,
	    .keeps_dac_override = known != NULL && json_get_bool(json_member(
	    known->description, "capabilities"), "writes_files", false)};
	int input = tool_text(definition), saved;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/connector-%s", tree.libexec, type);
	t->output = memfd_create("bulkhead-test", MFD_CLOEXEC);
	pid = input == -1 || t->output == -1 ? -1 :
	    tool_start(&tool, input, t->output, &t->pidfd);
	saved = errno;
	close(input);
	errno = saved;
	return pid != -1;
}

void
trial_run(struct answer to, const char *name, struct json_object *resolved)
{
	struct json_object *whole;
	struct trial *t;

	if (under_way == TRIALS_MAX) {
		answer_error(to, 503, "busy", "too many tests are under way");
		return;
	}
	t = mem_zalloc(1, sizeof(*t));
	t->answer = to;
	whole = json_object_new_object();
	json_object_object_foreach(resolved, key, v)
		json_object_object_add(whole, key, json_object_get(v));
	json_add_str(whole, "name", name);
	if (!trial_start(t, json_get_str(resolved, "type", ""),
	    json_text(whole))) {
		answer_error(to, 500, "not_started", "the type's program: %s",
		    strerror(errno));
		free(t);
		json_object_put(whole);
		return;
	}
	json_object_put(whole);
	under_way++;
	ev_io_init(&t->dead, on_dead, t->pidfd, EV_READ);
	ev_timer_init(&t->limit, on_limit, TRIAL_S, 0.);
	t->dead.data = t->limit.data = t;
	ev_io_start(tree.loop, &t->dead);
	ev_timer_start(tree.loop, &t->limit);
}
