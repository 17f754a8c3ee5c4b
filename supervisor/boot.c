#include "supervisor/boot.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "supervisor/auth.h"
#include "supervisor/connector.h"
#include "supervisor/data.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define CONFIG_FILE "/etc/bulkhead/bulkhead.yaml"

enum { EXIT_FAILED = 1, EXIT_REFUSED = 2 };

static struct {
	ev_signal term, interrupt, hangup;
	ev_prepare flush;
} boot;

static const char *
libexec_find(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return ".";
	path[n] = '\0';
	*strrchr(path, '/') = '\0';
	return path;
}

static void
types_open(void)
{
	char path[4200], why[256];

	snprintf(path, sizeof(path), "%s/types.json", tree.libexec);
	if (!types_load(&tree.types, path, why, sizeof(why)))
		log_warn("no connector types: %s: %s", path, why);
}

static bool
config_open(const struct boot_options *o)
{
	struct faults faults;
	struct buf text;
	char why[4400];
	bool is_good = true;

	tree.config_file = o->config;
	if (o->config == NULL && access(CONFIG_FILE, F_OK) == 0)
		tree.config_file = CONFIG_FILE;
	buf_init(&text);
	if (tree.config_file != NULL)
		is_good = reload_read(tree.config_file, &text, why,
		    sizeof(why));
	if (!is_good) {
		fprintf(stderr, "bulkhead: %s\n", why);
		return false;
	}
	faults_init(&faults);
	tree.config = config_parse(buf_slice(&text), &tree.input, &faults);
	buf_clear(&text);
	faults_print(&faults, "bulkhead: ", &text);
	if (tree.config == NULL)
		fputs(buf_cstr(&text), stderr);
	faults_fini(&faults);
	buf_fini(&text);
	return tree.config != NULL;
}

static void
log_open(void)
{
	struct json_object *log = json_member(tree.config->resolved, "log");
	enum log_level level = LOG_INFO;

	log_level_parse(json_get_str(log, "level", "info"), &level);
	log_set(level, strcmp(json_get_str(log, "format", "text"), "json") ==
	    0);
}

static void
on_stop(struct ev_loop *loop, ev_signal *w, int events)
{
	(void)loop;
	(void)events;
	log_info("signal %d", w->signum);
	stop_begin(0);
}

static void
on_hangup(struct ev_loop *loop, ev_signal *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
	reload_run((struct answer){0, 0});
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
	link_flush_all();
}

static void
loop_open(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ignore, NULL);
	/* Not the default loop: that one reaps every child of ours itself. */
	tree.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (tree.loop == NULL)
		fatal("no event loop");
	ev_signal_init(&boot.term, on_stop, SIGTERM);
	ev_signal_init(&boot.interrupt, on_stop, SIGINT);
	ev_signal_init(&boot.hangup, on_hangup, SIGHUP);
	ev_signal_start(tree.loop, &boot.term);
	ev_signal_start(tree.loop, &boot.interrupt);
	ev_signal_start(tree.loop, &boot.hangup);
	ev_prepare_init(&boot.flush, on_prepare);
	ev_set_priority(&boot.flush, EV_MINPRI);
	ev_prepare_start(tree.loop, &boot.flush);
}

/* Children raise their own limits within what we may have. */
static void
limits_raise(void)
{
	struct rlimit files, none = {0, 0};

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/* Secrets stand in our memory. */
	setrlimit(RLIMIT_CORE, &none);
}

static const char *
parts_open(void)
{
	const char *why;

	/* Both are checked before anything is started. */
	if ((why = data_open(json_get_str(tree.config->resolved, "data",
	    "data"))) != NULL)
		return why;
	return listeners_open();
}

static void
tree_begin(void)
{
	struct child *router, *admin;

	router = tree_add(KIND_ROUTER, "router", "router");
	tree_add_acceptors();
	admin = tree_add(KIND_ADMIN, "admin", "admin-server");
	connectors_load();
	if (auth_is_needed(tree.config->resolved))
		auth_start();
	child_event(router, LIFE_EVENT_START);
	child_event(admin, LIFE_EVENT_START);
	watchdog_start();
}

static void
tree_say(void)
{
	const struct listener *l;

	log_info("bulkhead %s, data in %s, configuration %s", BULKHEAD_VERSION,
	    tree.data, tree.config_file == NULL ? "built in" :
	    tree.config_file);
	for (l = tree.listeners; l < tree.listeners + tree.listener_count;
	    l++)
		log_info("listening for %s (%s) on %s", l->protocol,
		    l->transport, l->bind);
}

int
boot_run(const struct boot_options *o)
{
	const char *why;
	char text[4400];

	log_init("supervisor");
	tree.libexec = libexec_find();
	tree.is_root = geteuid() == 0;
	tree.incarnation = random_u64();
	tree.started_ms = clock_mono_ms();
	tree.input = (struct config_input){.types = &tree.types,
	    .is_root = tree.is_root, .data = o->data, .listen = o->listen,
	    .port_offset = o->port_offset, .libexec = tree.libexec,
	    .tool_uid = tree.is_root ? UID_WORKER : 0};
	types_open();
	if (!config_open(o))
		return EXIT_REFUSED;
	log_open();
	if (!auth_files_read(tree.config->resolved, text, sizeof(text))) {
		log_error("%s", text);
		return EXIT_REFUSED;
	}
	limits_raise();
	if ((why = parts_open()) != NULL) {
		log_error("%s", why);
		return EXIT_FAILED;
	}
	loop_open();
	tree_begin();
	tree_say();
	ev_run(tree.loop, 0);
	listeners_close();
	log_info("stopped");
	return tree.exit_status;
}
