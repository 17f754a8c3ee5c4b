/* links: libmariadb */
/*
 * mysql - records as rows of a MySQL or MariaDB table.
 *
 * A batch is one transaction of multi-row INSERTs; where a row is to blame
 * the batch goes in halves until it is alone. Here is the definition and the
 * loop's side; the connections are mysql_lane's.
 */
#include "connector-worker/sinks/mysql_lane.h"

#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/sql_text.h"

#include <mariadb/mysql.h>
#include <pthread.h>
#include <stdlib.h>

#define POOL_MAX 32

struct mysql {
	struct sink *sink;
	struct mysql_plan plan;
	struct mysql_lane *lanes[POOL_MAX + 1]; /* the last one probes */
	struct mysql_lane *idle[POOL_MAX];
	size_t lanes_len, idle_len;
	struct mysql_job *waiting, **waiting_tail;
	struct ev_async wake;
	pthread_mutex_t lock;
	struct mysql_job *done; /* locked */
	struct template_input input;
};

static const struct option options[] = {
    {"host", OPTION_STRING, NULL, 1, 255, NULL, OPTION_REQUIRED,
	"name or address of the server", "服务器的主机名或地址"},
    {"port", OPTION_INT, "3306", 1, 65535, NULL, 0, "port of the server",
	"服务器端口"},
    {"database", OPTION_STRING, NULL, 1, 64, NULL, OPTION_REQUIRED,
	"name of the database", "数据库名"},
    {"username", OPTION_STRING, NULL, 1, 128, NULL, OPTION_REQUIRED,
	"user to log in as", "登录用户名"},
    {"password", OPTION_STRING, NULL, 0, 1024, NULL,
	OPTION_REQUIRED | OPTION_SECRET, "the user's password", "用户密码"},
    {"table", OPTION_STRING, NULL, 1, 129, NULL, 0,
	"TABLE or DATABASE.TABLE; required without sql",
	"TABLE 或 DATABASE.TABLE；未设置 sql 时必填"},
    {"columns", OPTION_MAP, NULL, 1, SQL_PARAMS_MAX, NULL, OPTION_TEMPLATE,
	"column names to templates of their values; "
	"required without sql. A number in a time column is milliseconds",
	"列名到取值模板的映射；未设置 sql 时必填。时间列中的数字为毫秒"},
    {"sql", OPTION_STRING, NULL, 1, 65536, NULL, 0,
	"one statement to run for each record instead; its templates are "
	"bound as parameters, never put into its text",
	"改为对每条记录执行的一条语句；模板作为参数绑定，绝不拼入语句"},
    {"on_conflict", OPTION_ENUM, NULL, 0, 0, "error|ignore|update", 0,
	"when a row with the same key_columns is there; ignore where "
	"key_columns hold a column filled by ${id}, to be given otherwise",
	"已有相同 key_columns 的行时的处理；含由 ${id} 填充的列时默认为 "
	"ignore，否则必须给出"},
    {"key_columns", OPTION_LIST, NULL, 1, 32, NULL, 0,
	"columns of a unique index of the table, all of them",
	"表上某个唯一索引的全部列"},
    {"pool", OPTION_INT, "1", 1, POOL_MAX, NULL, 0,
	"connections at most; one batch in flight each",
	"最大连接数；每个连接同时处理一个批次"},
    {"timeout_ms", OPTION_INT, "10000", 100, 60000, NULL, 0,
	"how long to wait for an answer, in milliseconds; whole seconds, "
	"rounded up",
	"等待应答的时间（毫秒），向上取整到秒"},
    {"tls", OPTION_OBJECT, NULL, 0, 0, NULL, 0, "encryption of the connection",
	"连接加密"},
    {"tls.enable", OPTION_BOOL, "false", 0, 0, NULL, 0,
	"do not connect without TLS", "强制使用 TLS"},
    {"tls.ca_file", OPTION_STRING, NULL, 1, 4096, NULL, 0,
	"certificates to trust; the system's without it",
	"受信任的证书；缺省为系统证书"},
    {"tls.cert_file", OPTION_STRING, NULL, 1, 4096, NULL, 0, "our certificate",
	"客户端证书"},
    {"tls.key_file", OPTION_STRING, NULL, 1, 4096, NULL, 0,
	"the key of our certificate", "客户端证书的私钥"},
    {"tls.verify", OPTION_BOOL, "true", 0, 0, NULL, 0,
	"check the server's certificate and that it names host",
	"校验服务器证书及其主机名"},
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

/* --- the definition ------------------------------------------------------- */

static const struct template *
column_find(const struct sink_options *o, const char *name)
{
	for (size_t i = 0; i < opt_count(o, "columns"); i++)
		if (strcmp(opt_key(o, "columns", i), name) == 0)
			return opt_value_template(o, "columns", i);
	return NULL;
}

static bool
has_id_key(const struct sink_options *o)
{
	for (size_t i = 0; i < opt_count(o, "key_columns"); i++) {
		const struct template *t =
		    column_find(o, opt_value(o, "key_columns", i));

		if (t != NULL && template_is_field(t, FIELD_ID))
			return true;
	}
	return false;
}

static enum mysql_conflict
conflict_of(const struct sink_options *o)
{
	int choice = opt_choice(o, "on_conflict");

	if (choice >= 0)
		return (enum mysql_conflict)choice;
	return has_id_key(o) ? MYSQL_CONFLICT_IGNORE : MYSQL_CONFLICT_ERROR;
}

static bool
mysql_is_exact(const struct sink_options *o)
{
	return has_id_key(o) && conflict_of(o) != MYSQL_CONFLICT_ERROR;
}

static void
validate_sql(const struct sink_options *o, struct faults *faults)
{
	static const char *const others[] = {
	    "table", "columns", "key_columns", "on_conflict"};
	static struct slice params[SQL_PARAMS_MAX];
	struct buf out;
	const char *wrong;
	char fault[200];
	size_t n;

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (opt_is_set(o, others[i]))
			sink_fault(
			    o, faults, others[i], "has no use beside sql");
	buf_init(&out);
	wrong =
	    sql_params_take(slice_str(opt_string(o, "sql")), &out, params, &n);
	if (wrong != NULL)
		sink_fault(o, faults, "sql", "%s", wrong);
	for (size_t i = 0; wrong == NULL && i < n; i++) {
		struct template *t =
		    template_parse(params[i], fault, sizeof(fault));

		if (t == NULL)
			sink_fault(o, faults, "sql", "%.*s: %s",
			    SLICE_ARG(params[i]), fault);
		template_free(t);
	}
	buf_fini(&out);
}

static void
validate_table(const struct sink_options *o, struct faults *faults)
{
	int conflict = opt_choice(o, "on_conflict");

	if (!opt_is_set(o, "table"))
		sink_fault(o, faults, "table", "is required (or sql)");
	if (!opt_is_set(o, "columns"))
		sink_fault(o, faults, "columns", "is required (or sql)");
	for (size_t i = 0; i < opt_count(o, "key_columns"); i++)
		if (column_find(o, opt_value(o, "key_columns", i)) == NULL)
			sink_fault(o, faults, "key_columns",
			    "%s is not among the columns",
			    opt_value(o, "key_columns", i));
	if (conflict > MYSQL_CONFLICT_ERROR && opt_count(o, "key_columns") == 0)
		sink_fault(o, faults, "key_columns",
		    "is required unless on_conflict is error");
	else if (conflict != MYSQL_CONFLICT_ERROR &&
		 conflict != MYSQL_CONFLICT_UPDATE && !has_id_key(o))
		sink_fault(o, faults, "on_conflict",
		    "no key column is filled "
		    "by ${id}, so a record could be lost or be there twice: "
		    "fill one, or say error");
}

static void
validate_tls(const struct sink_options *o, struct faults *faults)
{
	static const char *const files[] = {
	    "tls.ca_file", "tls.cert_file", "tls.key_file"};

	for (size_t i = 0; i < 3 && !opt_bool(o, "tls.enable"); i++)
		if (opt_is_set(o, files[i]))
			sink_fault(o, faults, files[i],
			    "has no use without tls.enable");
	if (opt_is_set(o, "tls.cert_file") != opt_is_set(o, "tls.key_file"))
		sink_fault(o, faults, "tls.cert_file",
		    "cert_file and key_file go together");
}

static void
mysql_validate(const struct sink_options *o, struct faults *faults)
{
	if (opt_string(o, "sql") != NULL)
		validate_sql(o, faults);
	else
		validate_table(o, faults);
	validate_tls(o, faults);
}

/* --- open ----------------------------------------------------------------- */

static void
plan_take_sql(struct mysql_plan *p, const char *sql)
{
	static struct slice params[SQL_PARAMS_MAX];
	char fault[200];
	struct buf out;

	buf_init(&out);
	(void)sql_params_take(slice_str(sql), &out, params, &p->columns_len);
	p->columns = mem_zalloc(p->columns_len + 1, sizeof(*p->columns));
	for (size_t i = 0; i < p->columns_len; i++) {
		p->columns[i].own =
		    template_parse(params[i], fault, sizeof(fault));
		p->columns[i].value = p->columns[i].own;
	}
	p->statement = mysql_statement_make(buf_slice(&out), p->columns_len);
	buf_fini(&out);
}

static void
plan_take_table(struct mysql_plan *p, const struct sink_options *o)
{
	struct buf b;

	p->table_name = opt_string(o, "table");
	buf_init(&b);
	mysql_table_add(&b, p->table_name);
	p->table = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	p->conflict = conflict_of(o);
	p->columns_len = opt_count(o, "columns");
	p->columns = mem_zalloc(p->columns_len + 1, sizeof(*p->columns));
	p->keys_len = opt_count(o, "key_columns");
	for (size_t i = 0; i < p->columns_len; i++) {
		p->columns[i].name = opt_key(o, "columns", i);
		p->columns[i].value = opt_value_template(o, "columns", i);
		for (size_t j = 0; j < p->keys_len; j++)
			if (strcmp(opt_value(o, "key_columns", j),
				p->columns[i].name) == 0)
				p->columns[i].is_key = true;
	}
}

static void
plan_take(struct mysql_plan *p, const struct sink_options *o)
{
	p->host = opt_string(o, "host");
	p->port = (unsigned)opt_int(o, "port");
	p->database = opt_string(o, "database");
	p->username = opt_string(o, "username");
	p->password = opt_string(o, "password");
	p->timeout_s = (unsigned)((opt_int(o, "timeout_ms") + 999) / 1000);
	p->has_tls = opt_bool(o, "tls.enable");
	p->verifies = opt_bool(o, "tls.verify");
	p->ca = opt_string(o, "tls.ca_file");
	p->cert = opt_string(o, "tls.cert_file");
	p->key = opt_string(o, "tls.key_file");
	if (opt_string(o, "sql") != NULL)
		plan_take_sql(p, opt_string(o, "sql"));
	else
		plan_take_table(p, o);
}

/* --- jobs ----------------------------------------------------------------- */

/* In the lane's thread. */
static void
on_job_done(struct mysql_job *j, void *arg)
{
	struct mysql *m = arg;

	pthread_mutex_lock(&m->lock);
	j->next = m->done;
	m->done = j;
	pthread_mutex_unlock(&m->lock);
	ev_async_send(sink_loop(m->sink), &m->wake);
}

static struct mysql_job *
job_new(struct sink_batch *batch)
{
	struct mysql_job *j = mem_zalloc(1, sizeof(*j));

	j->batch = batch;
	buf_init(&j->text);
	buf_init(&j->found);
	buf_init(&j->reason);
	return j;
}

/* False: the record is refused and answered. */
static bool
job_add(struct mysql *m, struct mysql_job *j, struct sink_record *r)
{
	const struct mysql_plan *p = &m->plan;
	struct mysql_cell *cells = j->cells + j->count * p->columns_len;
	const char *why = "";

	template_input_set(&m->input, r->rec);
	for (size_t i = 0; i < p->columns_len; i++) {
		size_t at = buf_len(&j->text);

		if (!template_value(p->columns[i].value, &m->input, &j->text,
			&cells[i].kind, &why)) {
			sink_answer(r, SINK_REFUSED, why);
			return false;
		}
		cells[i].at = at;
		cells[i].len = buf_len(&j->text) - at;
	}
	j->records[j->count++] = r;
	return true;
}

static void
pump(struct mysql *m)
{
	while (m->waiting != NULL && m->idle_len > 0) {
		struct mysql_job *j = m->waiting;

		m->waiting = j->next;
		if (m->waiting == NULL)
			m->waiting_tail = &m->waiting;
		mysql_lane_give(m->idle[--m->idle_len], j);
	}
}

static void
mysql_send_batch(void *self, struct sink_batch *batch)
{
	struct mysql *m = self;
	struct mysql_job *j = job_new(batch);

	j->records = mem_zalloc(batch->count, sizeof(*j->records));
	j->cells = mem_zalloc(
	    batch->count * m->plan.columns_len + 1, sizeof(*j->cells));
	for (size_t i = 0; i < batch->count; i++)
		(void)job_add(m, j, batch->records[i]);
	if (j->count == 0) {
		mysql_job_free(j);
		return;
	}
	j->answers = mem_zalloc(j->count, sizeof(*j->answers));
	j->next = NULL;
	*m->waiting_tail = j;
	m->waiting_tail = &j->next;
	pump(m);
}

static void
probe_end(struct mysql *m, struct mysql_job *j)
{
	if (!j->is_test) {
		sink_probed(m->sink, j->is_good, buf_cstr(&j->reason));
		return;
	}
	if (buf_len(&j->found) > 0)
		sink_found(m->sink, "server", "%s", buf_cstr(&j->found));
	if (j->is_good && mysql_is_exact(sink_opts(m->sink)))
		sink_found(m->sink, "delivery", "effectively once");
	sink_tested(m->sink, j->is_good, buf_cstr(&j->reason));
}

static void
on_wake(struct ev_loop *loop, struct ev_async *w, int revents)
{
	struct mysql *m = w->data;
	struct mysql_job *done, *next;

	(void)loop;
	(void)revents;
	pthread_mutex_lock(&m->lock);
	done = m->done;
	m->done = NULL;
	pthread_mutex_unlock(&m->lock);
	for (; done != NULL; done = next) {
		next = done->next;
		if (done->batch == NULL)
			probe_end(m, done);
		else
			m->idle[m->idle_len++] = done->lane;
		for (size_t i = 0; i < done->count; i++)
			sink_answer(done->records[i], done->answers[i].outcome,
			    done->answers[i].reason);
		mysql_job_free(done);
	}
	pump(m);
}

static void
mysql_ask(struct mysql *m, bool is_test)
{
	struct mysql_job *j = job_new(NULL);

	j->is_test = is_test;
	mysql_lane_give(m->lanes[m->lanes_len], j);
}

static void
mysql_probe(void *self)
{
	mysql_ask(self, false);
}

static void
mysql_test(void *self)
{
	mysql_ask(self, true);
}

static void *
mysql_open(struct sink *sink)
{
	struct mysql *m = mem_zalloc(1, sizeof(*m));
	const struct sink_options *o = sink_opts(sink);

	m->sink = sink;
	bug_on(mysql_library_init(0, NULL, NULL) != 0);
	plan_take(&m->plan, o);
	m->waiting_tail = &m->waiting;
	template_input_init(&m->input);
	pthread_mutex_init(&m->lock, NULL);
	ev_async_init(&m->wake, on_wake);
	m->wake.data = m;
	ev_async_start(sink_loop(sink), &m->wake);
	m->lanes_len = (size_t)opt_int(o, "pool");
	for (size_t i = 0; i <= m->lanes_len; i++) {
		m->lanes[i] = mysql_lane_new(&m->plan, on_job_done, m);
		if (i < m->lanes_len)
			m->idle[m->idle_len++] = m->lanes[i];
	}
	return m;
}

static void
plan_fini(struct mysql_plan *p)
{
	for (size_t i = 0; i < p->columns_len; i++)
		template_free(p->columns[i].own);
	free(p->columns);
	free(p->table);
	free(p->statement);
}

static void
jobs_free(struct mysql_job *j)
{
	struct mysql_job *next;

	for (; j != NULL; j = next) {
		next = j->next;
		mysql_job_free(j);
	}
}

static void
mysql_close_sink(void *self)
{
	struct mysql *m = self;
	bool is_over = true;

	for (size_t i = 0; i <= m->lanes_len; i++)
		is_over &= mysql_lane_free(m->lanes[i]);
	ev_async_stop(sink_loop(m->sink), &m->wake);
	jobs_free(m->waiting);
	template_input_fini(&m->input);
	/* A thread that hangs in a look-up still reads the rest. */
	if (!is_over)
		return;
	jobs_free(m->done);
	plan_fini(&m->plan);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

const struct sink_type sink_type = {
    .name = "mysql",
    .help_en = "rows of a MySQL or MariaDB table",
    .help_zh = "MySQL 或 MariaDB 表的行",
    .options = options,
    .option_count = sizeof(options) / sizeof(*options),
    .caps =
	{
	    .effectively_once = true,
	    .orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION | SINK_ORDER_NONE,
	    .bytes_max = 16u << 20,
	    .paths = path_options,
	    .ports = "fixed",
	},
    .validate = mysql_validate,
    .is_exact = mysql_is_exact,
    .open = mysql_open,
    .send_batch = mysql_send_batch,
    .probe = mysql_probe,
    .test = mysql_test,
    .close = mysql_close_sink,
};
