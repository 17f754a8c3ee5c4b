/* links: ipc base */
/*
 * The real supervisor over a tree of doubles: this program, under the names
 * of the others. The double of the admin-server relays lines "TARGET OP
 * ARGS" from the admin socket, so that a test can ask and order anything.
 */
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/proc.h"

#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the doubles -------------------------------------------------------- */

static struct {
	unsigned links;
	char last_link[80];
	unsigned acceptors;
	struct json_object *config;
	int client;
	ev_io accept, read;
	struct buf in;
} fake;

static void
fake_setup(struct json_object *config)
{
	fake.config = json_object_get(config);
	log_info("%s is set up", proc_name());
	proc_ready();
}

static void
fake_reconfigure(struct json_object *config)
{
	json_object_put(fake.config);
	fake.config = json_object_get(config);
}

static void
fake_link(enum ipc_kind kind, const char *name, uint64_t incarnation, int fd)
{
	(void)kind;
	(void)incarnation;
	fake.links++;
	snprintf(fake.last_link, sizeof(fake.last_link), "%s", name);
	close(fd);
}

static void
fake_links_done(uint32_t acceptors)
{
	fake.acceptors = acceptors;
}

static struct json_object *
fake_resolve(uint64_t id, struct json_object *args)
{
	const char *stream = json_get_str(args, "stream", "own");
	struct json_object *o;

	if (strcmp(stream, "nosuch") == 0) {
		proc_reply_error(id, 404, "not_found", "no stream is named %s",
		    stream);
		return NULL;
	}
	o = json_object_new_object();
	json_add_str(o, "stream", stream);
	json_add_str(o, "incarnation", "77");
	json_object_object_add(o, "partitions",
	    json_parse(SLICE_LIT("{\"0\":5}")));
	return o;
}

static struct json_object *
fake_about(void)
{
	struct json_object *o = json_object_new_object();

	json_add_u64(o, "links", fake.links);
	json_add_str(o, "last_link", fake.last_link);
	json_add_u64(o, "acceptors", fake.acceptors);
	json_add_u64(o, "uid", getuid());
	json_add_u64(o, "marker", proc_marker_fd() >= 0);
	json_object_object_add(o, "config", json_object_get(fake.config));
	return o;
}

static void
fake_request(uint64_t id, struct slice op, struct json_object *args)
{
	struct json_object *o = NULL;

	if (slice_is(op, "crash"))
		raise(SIGSEGV);
	else if (slice_is(op, "hang"))
		for (;;)
			pause();
	else if (slice_is(op, "park"))
		proc_park("the database is locked");
	else if (slice_is(op, "degrade"))
		proc_degraded("disk", json_get_str(args, "reason", ""));
	else if (slice_is(op, "pause"))
		proc_state("paused", NULL);
	else if (slice_is(op, "stream.resolve") &&
	    (o = fake_resolve(id, args)) == NULL)
		return;
	proc_reply(id, 200, o == NULL ? fake_about() : o);
}

static void
fake_shutdown(uint32_t deadline)
{
	int fd = open("/proc/self/cwd/order", O_WRONLY | O_APPEND);

	(void)deadline;
	if (fd != -1) {
		dprintf(fd, "%s\n", proc_name());
		close(fd);
	}
	proc_exit(0);
}

/* ---- the double of the admin-server ---------------------------------------- */

static void
relay_line(char *line)
{
	static uint64_t id;
	char *op = strchr(line, ' '), *args;

	*op++ = '\0';
	args = strchr(op, ' ');
	if (args != NULL)
		*args++ = '\0';
	link_put_request(proc_control(), &(struct ipc_request){.id = ++id,
	    .target = slice_str(line), .op = slice_str(op),
	    .args = args == NULL ? SLICE_EMPTY : slice_str(args)});
}

static void
relay_read(struct ev_loop *loop, ev_io *w, int events)
{
	ssize_t n = read(w->fd, buf_reserve(&fake.in, 65536), 65536);
	const uint8_t *end;
	char *line;

	(void)events;
	if (n <= 0) {
		ev_io_stop(loop, w);
		close(w->fd);
		return;
	}
	buf_commit(&fake.in, (size_t)n);
	while ((end = memchr(buf_data(&fake.in), '\n', buf_len(&fake.in)))) {
		n = end - buf_data(&fake.in);
		line = slice_dup(slice_of(buf_data(&fake.in), (size_t)n));
		buf_consume(&fake.in, (size_t)n + 1);
		relay_line(line);
		free(line);
	}
}

static void
relay_accept(struct ev_loop *loop, ev_io *w, int events)
{
	int fd = accept(w->fd, NULL, NULL);

	(void)events;
	if (fd == -1)
		return;
	fake.client = fd;
	ev_io_stop(loop, &fake.read);
	ev_io_init(&fake.read, relay_read, fd, EV_READ);
	ev_io_start(loop, &fake.read);
}

static void
relay_listener(const struct ipc_listener *l, int fd)
{
	if (!slice_is(l->transport, "unix")) {
		close(fd);
		return;
	}
	ev_io_init(&fake.accept, relay_accept, fd, EV_READ);
	ev_io_start(proc_loop(), &fake.accept);
}

static void
relay_reply(uint64_t id, uint16_t status, struct slice body)
{
	(void)id;
	dprintf(fake.client, "%u %.*s\n", status, SLICE_ARG(body));
}

static void
fake_listener(const struct ipc_listener *l, int fd)
{
	(void)l;
	close(fd);
}

static int
double_run(const char *name, int argc, char **argv)
{
	static struct proc_ops ops = {.on_setup = fake_setup,
	    .on_reconfigure = fake_reconfigure, .on_link = fake_link,
	    .on_links_done = fake_links_done, .on_request = fake_request,
	    .on_listener = fake_listener, .on_shutdown = fake_shutdown};

	if (argc > 1) {
		puts(strcmp(argv[1], "--check") == 0 ? "[]" : "{\"ok\":true}");
		return 0;
	}
	ops.kind = strcmp(name, "router") == 0 ? KIND_ROUTER :
	    strcmp(name, "acceptor-mqtt") == 0 ? KIND_ACCEPTOR : KIND_WORKER;
	if (strcmp(name, "admin-server") == 0) {
		ops.kind = KIND_ADMIN;
		ops.on_listener = relay_listener;
		ops.on_reply = relay_reply;
	}
	return proc_run(&ops, argc, argv);
}

int
main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	struct criterion_test_set *tests;
	int rc = 0;

	name = name == NULL ? argv[0] : name + 1;
	if (strncmp(name, "unit_", 5) != 0)
		return double_run(name, argc, argv);
	tests = criterion_initialize();
	if (criterion_handle_args(argc, argv, true))
		rc = criterion_run_all_tests(tests) ? 0 : 1;
	criterion_finalize(tests);
	return rc;
}

/* ---- a tree ------------------------------------------------------------------- */

static struct {
	char root[64];
	pid_t pid;
	int socket;
	FILE *answers;
	int mqtt, http;
} t;

static void
file_write(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", t.root, name);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
}

static int
port_free(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	bind(fd, (struct sockaddr *)&a, n);
	getsockname(fd, (struct sockaddr *)&a, &n);
	close(fd);
	return ntohs(a.sin_port);
}

static void
config_write(const char *more, const char *connectors)
{
	char *text = mem_printf("listeners: [{protocol: mqtt, bind: "
	    "\"127.0.0.1:%d\"}]\nadmin: {http: \"127.0.0.1:%d\"}\n"
	    "acceptors: {mqtt: 2}\n%s\nconnectors: {%s}\n", t.mqtt, t.http,
	    more, connectors);

	file_write("c.yaml", text);
	free(text);
}

static void
program_link(const char *from, const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/libexec/%s", t.root, name);
	if (link(from, path) == -1 && symlink(from, path) == -1)
		abort();
}

static const char *
fake_kinds[] = {"router", "acceptor-mqtt", "admin-server", "connector-file",
    "connector-other"};

/* The supervisor finds programs beside itself: it is copied. */
static void
libexec_make(void)
{
	char self[300], command[900];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n] = '\0';
	for (size_t i = 0; i < 5; i++)
		program_link(self, fake_kinds[i]);
	*strrchr(self, '/') = '\0';
	snprintf(command, sizeof(command),
	    "cp %s/../libexec/bulkhead/supervisor %s/libexec/", self, t.root);
	if (system(command) != 0)
		abort();
	file_write("libexec/types.json", "[{\"type\":\"file\",\"capabilities\":"
	    "{\"writes_files\":true,\"paths\":[\"path\"]},\"help\":{},"
	    "\"options\":[{\"name\":\"path\",\"type\":\"string\","
	    "\"required\":true},{\"name\":\"key\",\"type\":\"string\","
	    "\"secret\":true}]},{\"type\":\"other\",\"help\":{},\"options\":[]}]");
}

static void
tree_make(void)
{
	char path[200];

	signal(SIGPIPE, SIG_IGN);
	strcpy(t.root, "/tmp/bh-tree-XXXXXX");
	cr_assert_not_null(mkdtemp(t.root));
	chmod(t.root, 0755);
	snprintf(path, sizeof(path), "%s/libexec", t.root);
	mkdir(path, 0755);
	libexec_make();
	t.mqtt = port_free();
	t.http = port_free();
	config_write("", "");
}

static pid_t
tree_launch(const char *data)
{
	char program[200], config[200], log[200];
	pid_t pid;

	snprintf(program, sizeof(program), "%s/libexec/supervisor", t.root);
	snprintf(config, sizeof(config), "%s/c.yaml", t.root);
	snprintf(log, sizeof(log), "%s/log", t.root);
	pid = fork();
	if (pid == 0) {
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);

		dup2(fd, 1);
		dup2(fd, 2);
		execl(program, program, "-c", config, "--data", data, NULL);
		_exit(99);
	}
	return pid;
}

static char *
data_path(const char *name)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/data/%s", t.root, name);
	return path;
}

static bool
tree_connect(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strcpy(a.sun_path, data_path("admin.sock"));
	t.socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(t.socket, (struct sockaddr *)&a, sizeof(a)) == 0) {
		t.answers = fdopen(t.socket, "r+");
		setvbuf(t.answers, NULL, _IONBF, 0);
		return true;
	}
	close(t.socket);
	return false;
}

/* The body of the answer; status, where wanted, in *status. */
static struct json_object *
ask_status(int *status, const char *fmt, ...)
{
	static char line[1 << 20];
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dprintf(t.socket, "%s\n", text);
	cr_assert_not_null(fgets(line, sizeof(line), t.answers), "%s", text);
	*status = atoi(line);
	return json_parse(slice_str(line + 4));
}

#define ask(...) ask_status(&(int){0}, __VA_ARGS__)

static struct json_object *
process(struct json_object *status, const char *name)
{
	struct json_object *list = json_member(status, "processes"), *p;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		p = json_object_array_get_idx(list, i);
		if (strcmp(json_get_str(p, "name", ""), name) == 0)
			return p;
	}
	return NULL;
}

static bool
process_is(const char *name, const char *state, uint64_t restarts)
{
	struct json_object *s = ask("supervisor status");
	struct json_object *p = process(s, name);
	bool is = p != NULL && json_get_u64(p, "restarts", 99) >= restarts &&
	    strcmp(json_get_str(p, "state", ""), state) == 0;

	json_object_put(s);
	return is;
}

#define wait_for(condition) do { \
	int left_ = 1000; \
	while (!(condition) && left_-- > 0) \
		usleep(10000); \
	cr_assert(left_ > 0, "%s", #condition); \
} while (0)

static bool
tree_is_up(void)
{
	struct json_object *s = ask("supervisor status");
	bool is = strcmp(json_get_str(s, "state", ""), "healthy") == 0;

	json_object_put(s);
	return is;
}

static void
tree_start(void)
{
	t.pid = tree_launch(data_path(""));
	wait_for(tree_connect());
	wait_for(tree_is_up());
}

static int
tree_wait(pid_t pid)
{
	int status = 0;

	wait_for(waitpid(pid, &status, WNOHANG) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	return remove(path);
}

static void
tree_end(void)
{
	if (t.pid > 0) {
		kill(t.pid, SIGKILL);
		waitpid(t.pid, NULL, 0);
	}
	nftw(t.root, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}

static bool
log_has(const char *text)
{
	char command[600];

	snprintf(command, sizeof(command), "grep -qF -- '%s' %s/log", text,
	    t.root);
	return system(command) == 0;
}

TestSuite(tree, .init = tree_make, .fini = tree_end, .timeout = 60);

#define F_CONNECTOR "f: {type: file, stream: s, config: {path: /tmp/f}}"
#define STREAMS "streams: {s: {topics: [\"s/#\"]}}"

/* ---- tests ------------------------------------------------------------------------ */

Test(tree, everybody_is_started_and_told_what_it_needs)
{
	struct json_object *s, *about, *start;

	config_write(STREAMS, F_CONNECTOR);
	tree_start();
	s = ask("supervisor status");
	cr_assert_eq(json_object_array_length(json_member(s, "processes")), 5);
	cr_assert_str_eq(json_get_str(process(s, "mqtt.1"), "kind", ""),
	    "acceptor");
	json_object_put(s);
	about = ask("connector.f show");
	start = json_member(json_member(about, "config"), "start");
	cr_assert_str_eq(json_get_str(start, "incarnation", ""), "77");
	cr_assert_str_eq(json_get_str(json_member(about, "config"), "stream",
	    ""), "s");
	cr_assert_eq(json_get_u64(about, "marker", 0), 1);
	if (getuid() == 0)
		cr_assert_eq(json_get_u64(about, "uid", 0), 61703);
	json_object_put(about);
	about = ask("router show");
	cr_assert_eq(json_get_u64(about, "links", 0), 4);
	json_object_put(about);
}

Test(tree, a_dead_router_is_replaced_and_linked_again)
{
	struct json_object *o, *list;
	int status;

	tree_start();
	o = ask_status(&status, "router crash");
	cr_assert_eq(status, 503);
	json_object_put(o);
	wait_for(process_is("router", "running", 1));
	o = ask("mqtt show");
	cr_assert_eq(json_get_u64(o, "links", 0), 2);
	json_object_put(o);
	o = ask("router show");
	cr_assert_eq(json_get_u64(o, "acceptors", 0), 2);
	json_object_put(o);
	list = ask("supervisor crash.list");
	cr_assert_eq(json_object_array_length(list), 1);
	o = ask("supervisor crash.show {\"id\":\"%s\"}", json_get_str(
	    json_object_array_get_idx(list, 0), "id", ""));
	cr_assert_gt(json_object_array_length(json_member(o, "events")), 0);
#ifndef BULKHEAD_SANITIZE	/* which makes an exit of the signal */
	cr_assert_eq(json_get_u64(o, "signal", 0), SIGSEGV);
	cr_assert_gt(json_object_array_length(json_member(o, "backtrace")), 2);
#endif
	json_object_put(o);
	json_object_put(list);
	o = ask_status(&status, "supervisor crash.show {\"id\":\"../x\"}");
	cr_assert_eq(status, 404);
	json_object_put(o);
}

Test(tree, a_hang_is_a_crash)
{
	struct json_object *list;

	config_write("limits: {watchdog_ms: 300}", "");
	tree_start();
	/* Answered by the supervisor, when it is dead. */
	json_object_put(ask("mqtt hang"));
	wait_for(process_is("mqtt", "running", 1));
	list = ask("supervisor crash.list");
	while (json_object_array_length(list) == 0) {
		json_object_put(list);
		list = ask("supervisor crash.list");
	}
	cr_assert(json_get_bool(json_object_array_get_idx(list, 0),
	    "watchdog", false));
	json_object_put(list);
}

Test(tree, who_parks_is_not_started_again)
{
	struct json_object *s, *p;

	tree_start();
	json_object_put(ask("router park"));
	wait_for(process_is("router", "stopped", 0));
	usleep(300000);
	s = ask("supervisor status");
	p = process(s, "router");
	cr_assert_str_eq(json_get_str(p, "state", ""), "stopped");
	cr_assert_str_eq(json_get_str(p, "reason", ""),
	    "the database is locked");
	cr_assert_str_eq(json_get_str(s, "state", ""), "degraded");
	cr_assert(strstr(json_object_to_json_string(json_member(s,
	    "reasons")), "the database is locked"));
	json_object_put(s);
	cr_assert(log_has("the database is locked"));
}

Test(tree, quick_deaths_back_off_and_hurt_nobody_else)
{
	struct json_object *s;
	int i, pid, seen = 0;

	config_write(STREAMS, F_CONNECTOR);
	tree_start();
	for (i = 0; i < 400 && !seen; i++) {
		s = ask("supervisor status");
		pid = (int)json_get_u64(process(s, "connector.f"), "pid", 0);
		seen = strcmp(json_get_str(process(s, "connector.f"), "state",
		    ""), "backoff") == 0 && json_get_u64(process(s,
		    "connector.f"), "restarts", 0) > 3;
		if (pid > 0)
			kill(pid, SIGKILL);
		json_object_put(s);
		usleep(5000);
	}
	cr_assert(seen);
	s = ask("supervisor status");
	cr_assert_eq(json_get_u64(process(s, "router"), "restarts", 9), 0);
	cr_assert_eq(json_get_u64(process(s, "mqtt"), "restarts", 9), 0);
	json_object_put(s);
	wait_for(process_is("connector.f", "running", 3));
	/* A kill from outside makes no crash report. */
	s = ask("supervisor crash.list");
	cr_assert_eq(json_object_array_length(s), 0);
	json_object_put(s);
}

Test(tree, complaints_are_shown_until_taken_back)
{
	struct json_object *s;

	tree_start();
	json_object_put(ask("router degrade {\"reason\":\"disk full\"}"));
	s = ask("supervisor status");
	cr_assert_str_eq(json_get_str(s, "state", ""), "degraded");
	cr_assert(strstr(json_object_to_json_string(json_member(s,
	    "reasons")), "router: disk full (since 20"));
	json_object_put(s);
	json_object_put(ask("router degrade {\"reason\":\"\"}"));
	cr_assert(tree_is_up());
}

Test(tree, connectors_by_request_outlive_the_tree)
{
	struct json_object *o;
	struct stat st;
	int status;

	config_write(STREAMS, F_CONNECTOR);
	tree_start();
	o = ask_status(&status, "supervisor connector.create {\"definition\":"
	    "{\"name\":\"g\",\"type\":\"file\",\"stream\":\"s\",\"config\":"
	    "{\"path\":\"/tmp/g\",\"key\":\"hush\"}}}");
	cr_assert_eq(status, 201);
	cr_assert_null(strstr(json_object_to_json_string(o), "hush"));
	json_object_put(o);
	wait_for(process_is("connector.g", "running", 0));
	cr_assert_eq(stat(data_path("connectors/g.yaml"), &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	json_object_put(ask("supervisor connector.pause {\"name\":\"g\"}"));
	wait_for(process_is("connector.g", "paused", 0));
	json_object_put(ask("supervisor stop"));
	cr_assert_eq(tree_wait(t.pid), 0);
	fclose(t.answers);
	tree_start();
	o = ask("connector.g show");
	cr_assert(json_get_bool(json_member(o, "config"), "paused", false));
	cr_assert_str_eq(json_get_str(json_member(json_member(json_member(o,
	    "config"), "connector"), "config"), "key", ""), "hush");
	json_object_put(o);
	o = ask_status(&status, "supervisor connector.delete {\"name\":"
	    "\"g\"}");
	cr_assert_eq(status, 200);
	json_object_put(o);
	cr_assert_eq(stat(data_path("connectors/g.yaml"), &st), -1);
	o = ask_status(&status, "supervisor connector.show {\"name\":\"g\"}");
	cr_assert_eq(status, 404);
	json_object_put(o);
	o = ask_status(&status, "supervisor connector.delete {\"name\":"
	    "\"f\"}");
	cr_assert_eq(status, 409);
	json_object_put(o);
}

Test(tree, definitions_that_are_refused_change_nothing)
{
	static const struct {
		const char *definition;
		int status;
		const char *says;
	} bad[] = {
	    {"{\"name\":\"x\",\"type\":\"file\",\"stream\":\"s\","
	    "\"config\":{\"pth\":1}}", 422, "did you mean `path`"},
	    {"{\"name\":\"f\",\"type\":\"file\",\"stream\":\"s\","
	    "\"config\":{\"path\":\"/tmp/n\"}}", 409, "exists"},
	    {"{\"name\":\"x\",\"type\":\"file\",\"stream\":\"s\","
	    "\"config\":{\"path\":\"/tmp/f\"}}", 409, "writes the same file"},
	    {"{\"name\":\"x\",\"type\":\"file\",\"stream\":\"nosuch\","
	    "\"config\":{\"path\":\"/tmp/x\"}}", 404, "no stream is named"},
	    {"{\"name\":\"x\",\"type\":\"nosuch\",\"stream\":\"s\"}", 422,
	    "types that are built"},
	};
	struct json_object *o;
	int status;

	config_write(STREAMS, F_CONNECTOR);
	tree_start();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o = ask_status(&status, "supervisor connector.create "
		    "{\"definition\":%s}", bad[i].definition);
		cr_assert_eq(status, bad[i].status, "%zu: %d", i, status);
		cr_assert(strstr(json_object_to_json_string(o), bad[i].says),
		    "%s", json_object_to_json_string(o));
		json_object_put(o);
	}
	o = ask("supervisor connector.list");
	cr_assert_eq(json_object_array_length(o), 1);
	json_object_put(o);
}

Test(tree, a_reload_changes_what_differs_or_nothing)
{
	struct json_object *o, *before, *now;
	int status;

	config_write(STREAMS, F_CONNECTOR);
	tree_start();
	before = ask("supervisor status");
	config_write("streams: {s: {topics: [\"s/#\"]}, u: {topics: [u]}}\n"
	    "store: {fsync: never}", F_CONNECTOR
	    ", n: {type: file, stream: u, config: {path: /tmp/n}}");
	o = ask_status(&status, "supervisor reload");
	cr_assert_eq(status, 200);
	cr_assert_str_eq(json_get_str(o, "text", ""), "create stream u\n"
	    "create connector n\n"
	    "restart section store (takes effect at the next start)\n");
	json_object_put(o);
	wait_for(process_is("connector.n", "running", 0));
	now = ask("supervisor status");
	for (size_t i = 0; i < 5; i++) {
		static const char *const names[] = {"router", "mqtt",
		    "mqtt.1", "admin", "connector.f"};

		cr_assert_eq(json_get_u64(process(before, names[i]), "pid", 1),
		    json_get_u64(process(now, names[i]), "pid", 2));
	}
	json_object_put(before);
	o = ask("router show");
	cr_assert_not_null(json_member(json_member(json_member(o, "config"),
	    "streams"), "u"));
	cr_assert_str_eq(json_get_str(json_member(json_member(o, "config"),
	    "store"), "fsync", ""), "group");
	json_object_put(o);
	config_write("nosuch: 1", "");
	o = ask_status(&status, "supervisor reload");
	cr_assert_eq(status, 422);
	cr_assert(strstr(json_object_to_json_string(o), "nosuch"));
	json_object_put(o);
	kill(t.pid, SIGHUP);
	wait_for(log_has("reload: nothing was changed"));
	cr_assert(process_is("connector.n", "running", 0));
	config_write(STREAMS, F_CONNECTOR);
	kill(t.pid, SIGHUP);
	wait_for(!process_is("connector.n", "running", 0));
	json_object_put(now);
}

Test(tree, another_type_under_a_name_is_another_program)
{
	struct json_object *o;

	config_write(STREAMS, F_CONNECTOR);
	tree_start();
	config_write(STREAMS, "f: {type: other, stream: s}");
	json_object_put(ask("supervisor reload"));
	wait_for(process_is("connector.f", "running", 0));
	o = ask("connector.f show");
	cr_assert_str_eq(json_get_str(json_member(json_member(o, "config"),
	    "connector"), "type", ""), "other");
	json_object_put(o);
}

Test(tree, a_program_that_is_not_there_is_told_once)
{
	char path[200];

	config_write(STREAMS, "f: {type: file, stream: s, config: {path: x}}");
	tree_start();
	snprintf(path, sizeof(path), "%s/libexec/connector-file", t.root);
	unlink(path);
	json_object_put(ask("supervisor connector.restart {\"name\":\"f\"}"));
	wait_for(process_is("connector.f", "stopped", 0));
	cr_assert(log_has("its program cannot be executed"));
}

Test(tree, the_stop_goes_in_order)
{
	char line[80], all[400] = "";
	FILE *f;

	config_write(STREAMS, F_CONNECTOR);
	tree_start();
	close(open(data_path("order"), O_CREAT | O_WRONLY, 0666));
	chmod(data_path("order"), 0666);
	kill(t.pid, SIGTERM);
	cr_assert_eq(tree_wait(t.pid), 0);
	t.pid = 0;
	f = fopen(data_path("order"), "r");
	while (fgets(line, sizeof(line), f) != NULL)
		strcat(all, line);
	fclose(f);
	cr_assert(strcmp(all, "mqtt\nmqtt.1\nconnector.f\nrouter\nadmin\n") ==
	    0 || strcmp(all, "mqtt.1\nmqtt\nconnector.f\nrouter\nadmin\n") ==
	    0, "%s", all);
}

Test(tree, nothing_outlives_the_supervisor)
{
	struct json_object *s, *list;
	pid_t pids[8];
	size_t i, n;

	tree_start();
	s = ask("supervisor status");
	list = json_member(s, "processes");
	n = json_object_array_length(list);
	for (i = 0; i < n; i++)
		pids[i] = (pid_t)json_get_u64(json_object_array_get_idx(list,
		    i), "pid", 0);
	kill(t.pid, SIGKILL);
	waitpid(t.pid, NULL, 0);
	t.pid = 0;
	for (i = 0; i < n; i++)
		wait_for(kill(pids[i], 0) == -1 && errno == ESRCH);
	json_object_put(s);
}

Test(tree, a_second_instance_is_refused)
{
	pid_t second;

	tree_start();
	t.mqtt = port_free();
	t.http = port_free();
	config_write("", "");
	second = tree_launch(data_path(""));
	cr_assert_eq(tree_wait(second), 1);
	cr_assert(log_has("already in use by another instance"));
	cr_assert(tree_is_up());
}

Test(tree, a_port_in_use_is_named)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)t.mqtt),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[100];

	cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(tree_wait(tree_launch(data_path(""))), 1);
	snprintf(text, sizeof(text),
	    "cannot listen on 127.0.0.1:%d: Address already in use", t.mqtt);
	cr_assert(log_has(text));
	close(fd);
}

Test(tree, a_data_folder_that_cannot_be_is_named)
{
	char path[200];

	file_write("file", "no folder");
	snprintf(path, sizeof(path), "%s/file", t.root);
	cr_assert_eq(tree_wait(tree_launch(path)), 1);
	cr_assert(log_has(path));
	cr_assert(log_has("File exists") || log_has("Not a directory"));
}

Test(tree, a_refused_configuration_starts_nothing)
{
	config_write("limits: {watchdog_ms: 1}\nfoo: 1", "");
	cr_assert_eq(tree_wait(tree_launch(data_path(""))), 2);
	cr_assert(log_has("limits.watchdog_ms: 1 is below 100"));
	cr_assert(log_has("foo: unknown option"));
}
