/* links: libpq */
/*
 * postgres - records as rows of a PostgreSQL table.
 *
 * Here is the definition: options, their checks, the sink's functions. The
 * work is in postgres_lane.h.
 */
#include "connector-worker/sinks/postgres_lane.h"

#include "base/mem.h"
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>

#define PROBE_MS 5000

static const struct option options[] = {
    {"host", OPTION_STRING, NULL, 1, 255, NULL, OPTION_REQUIRED,
	"name or address of the server, or the folder of its socket",
	"服务器的主机名或地址，或其套接字所在目录"},
    {"port", OPTION_INT, "5432", 1, 65535, NULL, 0, "port of the server",
	"服务器端口"},
    {"database", OPTION_STRING, NULL, 1, 63, NULL, OPTION_REQUIRED,
	"name of the database", "数据库名"},
    {"username", OPTION_STRING, NULL, 1, 63, NULL, OPTION_REQUIRED,
	"user to log in as", "登录用户名"},
    {"password", OPTION_STRING, NULL, 0, 1024, NULL,
	OPTION_REQUIRED | OPTION_SECRET, "the user's password", "用户密码"},
    {"table", OPTION_STRING, NULL, 1, 255, NULL, 0,
	"table that rows are added to, as TABLE or SCHEMA.TABLE, upper "
	"and lower case as written; required without sql",
	"写入的表，形如 TABLE 或 SCHEMA.TABLE，区分大小写；未设置 sql "
	"时必填"},
    {"columns", OPTION_MAP, NULL, 1, SQL_PARAMS_MAX, NULL, OPTION_TEMPLATE,
	"column names to templates of their values; "
	"without it every column that is called like a field of the "
	"record (id, topic, payload, timestamp_ms, ...) gets it",
	"列名到取值模板的映射；缺省时，与记录字段同名的列（id、topic、"
	"payload、timestamp_ms 等）取该字段"},
    {"sql", OPTION_STRING, NULL, 1, 65536, NULL, 0,
	"one statement to run for each record instead; its templates "
	"are bound as parameters, never put into its text",
	"改为对每条记录执行的一条语句；其中的模板作为参数绑定，绝不拼入"
	"语句文本"},
    {"on_conflict", OPTION_ENUM, NULL, 0, 0, "error|ignore|update", 0,
	"when a row with the same key_columns is there: error refuses "
	"the new one, ignore keeps the old one, update writes over it; "
	"ignore where key_columns hold a column filled by ${id}, which "
	"is effectively once; to be given otherwise",
	"已有相同 key_columns 的行时：error 拒绝新行，ignore 保留旧行，"
	"update 覆盖；若 key_columns 含由 ${id} 填充的列则默认为 ignore"
	"（等效恰好一次），否则必须给出"},
    {"key_columns", OPTION_LIST, NULL, 1, 32, NULL, 0,
	"columns of a unique index of the table, all of them",
	"表上某个唯一索引的全部列"},
    {"pool", OPTION_INT, "1", 1, POSTGRES_POOL_MAX, NULL, 0,
	"connections at most; one batch in flight each",
	"最大连接数；每个连接同时处理一个批次"},
    {"use_copy", OPTION_BOOL, "false", 0, 0, NULL, 0,
	"send batches by COPY, through a temporary table where "
	"on_conflict is not error",
	"用 COPY 发送批次；on_conflict 不为 error 时经由临时表"},
    {"timeout_ms", OPTION_INT, "10000", 100, 600000, NULL, 0,
	"how long to wait for an answer of the server, in milliseconds",
	"等待服务器应答的时间（毫秒）"},
    {"sslmode", OPTION_ENUM, NULL, 0, 0,
	"disable|allow|prefer|require|verify-ca|verify-full", 0,
	"as in libpq; prefer, or with tls.enable verify-full (require "
	"where tls.verify is false)",
	"含义同 libpq；默认 prefer，启用 tls.enable 时为 verify-full"
	"（tls.verify 为 false 时为 require）"},
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
    {"tls.server_name", OPTION_STRING, NULL, 1, 255, NULL, 0,
	"name that the server's certificate must have, if not host",
	"服务器证书须包含的名称（与 host 不同时）"},
    {"tls.verify", OPTION_BOOL, "true", 0, 0, NULL, 0,
	"check the server's certificate", "校验服务器证书"},
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

/* --- the definition ------------------------------------------------------- */

static bool
is_id_template(const struct template *t)
{
	return t != NULL && template_is_field(t, FIELD_ID);
}

static const struct template *
column_template(const struct sink_options *o, const char *name, bool *is_there)
{
	size_t n = opt_count(o, "columns");

	for (size_t i = 0; i < n; i++)
		if (strcmp(opt_key(o, "columns", i), name) == 0) {
			*is_there = true;
			return opt_value_template(o, "columns", i);
		}
	*is_there = n == 0 && record_field_find(slice_str(name)) != FIELD_COUNT;
	return NULL;
}

/* A key column is filled by ${id}: no record can be in the table twice. */
static bool
has_id_key(const struct sink_options *o)
{
	for (size_t i = 0; i < opt_count(o, "key_columns"); i++) {
		const char *name = opt_value(o, "key_columns", i);
		bool is_there;
		const struct template *t = column_template(o, name, &is_there);

		if (t != NULL ? is_id_template(t)
			      : is_there && strcmp(name, "id") == 0)
			return true;
	}
	return false;
}

static enum pg_conflict
conflict_of(const struct sink_options *o)
{
	int choice = opt_choice(o, "on_conflict");

	if (choice >= 0)
		return (enum pg_conflict)choice;
	return has_id_key(o) ? PG_CONFLICT_IGNORE : PG_CONFLICT_ERROR;
}

bool
postgres_is_exact(const struct sink_options *o)
{
	return has_id_key(o) && conflict_of(o) != PG_CONFLICT_ERROR;
}

static void
validate_sql(const struct sink_options *o, struct faults *faults)
{
	static const char *const others[] = {"table", "columns", "key_columns"};
	static struct slice params[SQL_PARAMS_MAX];
	struct buf out;
	const char *wrong;
	char fault[200];
	size_t n;

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (opt_is_set(o, others[i]))
			sink_fault(
			    o, faults, others[i], "has no use beside sql");
	if (opt_bool(o, "use_copy"))
		sink_fault(o, faults, "use_copy", "has no use beside sql");
	if (opt_choice(o, "on_conflict") > PG_CONFLICT_ERROR)
		sink_fault(o, faults, "on_conflict",
		    "beside sql only error can be said: write the ON CONFLICT "
		    "into the statement");
	/* What is behind a reference is checked where it is resolved. */
	if (secret_is_reference(opt_string(o, "sql")))
		return;
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
	const char *table = opt_string(o, "table");
	const char *wrong = table == NULL
				? "is required (or sql)"
				: sql_table_add(NULL, slice_str(table));
	int conflict = opt_choice(o, "on_conflict");

	if (wrong != NULL)
		sink_fault(o, faults, "table", "%s", wrong);
	for (size_t i = 0; i < opt_count(o, "key_columns"); i++) {
		bool is_there;

		(void)column_template(
		    o, opt_value(o, "key_columns", i), &is_there);
		if (!is_there)
			sink_fault(o, faults, "key_columns",
			    "%s is not among the columns",
			    opt_value(o, "key_columns", i));
	}
	if (conflict > PG_CONFLICT_ERROR && opt_count(o, "key_columns") == 0)
		sink_fault(o, faults, "key_columns",
		    "is required unless on_conflict is error");
	else if (conflict != PG_CONFLICT_ERROR &&
		 conflict != PG_CONFLICT_UPDATE && !has_id_key(o))
		sink_fault(o, faults, "on_conflict",
		    "no key column is filled "
		    "by ${id}, so a record could be lost or be there twice: "
		    "fill one, or say error");
}

static void
validate_tls(const struct sink_options *o, struct faults *faults)
{
	static const char *const files[] = {
	    "tls.ca_file", "tls.cert_file", "tls.key_file", "tls.server_name"};
	int mode = opt_choice(o, "sslmode");
	bool enable = opt_bool(o, "tls.enable");

	if (enable && mode >= 0 && mode < 3)
		sink_fault(o, faults, "sslmode",
		    "with tls.enable it must be require or stricter");
	if (enable && mode > 3 && !opt_bool(o, "tls.verify"))
		sink_fault(
		    o, faults, "tls.verify", "false contradicts sslmode");
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (!enable && mode <= 0 && opt_string(o, files[i]) != NULL)
			sink_fault(o, faults, files[i],
			    "has no use without tls.enable or sslmode");
	if ((opt_string(o, "tls.cert_file") == NULL) !=
	    (opt_string(o, "tls.key_file") == NULL))
		sink_fault(o, faults, "tls.cert_file",
		    "cert_file and key_file go together");
}

static void
postgres_validate(const struct sink_options *o, struct faults *faults)
{
	if (opt_string(o, "sql") != NULL)
		validate_sql(o, faults);
	else
		validate_table(o, faults);
	validate_tls(o, faults);
}

/* --- the interface -------------------------------------------------------- */

static void
postgres_send_batch(void *self, struct sink_batch *batch)
{
	struct postgres *pg = self;
	struct lane *best = NULL;

	if (pg->waiting_len == pg->waiting_cap) {
		pg->waiting_cap = pg->waiting_cap * 2 + 4;
		pg->waiting = mem_realloc(
		    pg->waiting, pg->waiting_cap * sizeof(*pg->waiting));
	}
	pg->waiting[pg->waiting_len++] = batch;
	for (size_t i = 0; i < pg->lanes_len; i++) {
		struct lane *l = &pg->lanes[i];

		if (l->job == JOB_NONE &&
		    (best == NULL ||
			(best->conn.pg == NULL && l->conn.pg != NULL)))
			best = l;
	}
	if (best != NULL)
		lane_next(best);
}

static void
postgres_probe(void *self)
{
	struct postgres *pg = self;

	lane_probe(&pg->prober);
}

static void
postgres_test(void *self)
{
	struct postgres *pg = self;

	pg->lanes[0].job = JOB_TEST;
	lane_run(&pg->lanes[0]);
}

static const char *
sslmode_of(const struct sink_options *o)
{
	static const char *const modes[] = {"disable", "allow", "prefer",
	    "require", "verify-ca", "verify-full"};
	int mode = opt_choice(o, "sslmode");
	bool enable = opt_bool(o, "tls.enable");
	bool verify = opt_bool(o, "tls.verify");

	/* Where both are said, validate has seen that they agree. */
	if (mode >= 0)
		return modes[mode];
	if (!enable)
		return "prefer";
	return verify ? "verify-full" : "require";
}

/* What libpq is told, in place of its environment and files. */
static void
params_make(struct postgres *pg)
{
	const struct sink_options *o = pg->opts;
	const char *mode = sslmode_of(o), *ca = opt_string(o, "tls.ca_file");
	const char *name = opt_string(o, "tls.server_name");
	const char *const params[][2] = {
	    {"host", name != NULL ? name : opt_string(o, "host")},
	    {"hostaddr", NULL},
	    {"port", pg->port},
	    {"dbname", opt_string(o, "database")},
	    {"user", opt_string(o, "username")},
	    {"password", opt_string(o, "password")},
	    {"sslmode", mode},
	    {"sslrootcert", ca == NULL && strncmp(mode, "verify", 6) == 0
				? "/etc/ssl/certs/ca-certificates.crt"
				: ca},
	    {"sslcert", opt_string(o, "tls.cert_file")},
	    {"sslkey", opt_string(o, "tls.key_file")},
	    {"application_name", pg->application},
	    {"client_encoding", "UTF8"},
	    {"gssencmode", "disable"},
	    {"passfile", "/dev/null"},
	    {"keepalives_idle", "30"},
	};
	size_t n = sizeof(params) / sizeof(*params);

	for (size_t i = 0; i < n; i++) {
		pg->names[i] = params[i][0];
		pg->values[i] = params[i][1];
	}
	pg->names[n] = pg->values[n] = NULL;
}

/* The schema and validate have seen it: nothing can be wrong any more. */
static void
statement_make(struct postgres *pg)
{
	static struct slice params[SQL_PARAMS_MAX];
	struct buf out;
	char fault[200];

	buf_init(&out);
	(void)sql_params_take(slice_str(opt_string(pg->opts, "sql")), &out,
	    params, &pg->params_len);
	pg->statement = mem_strdup(buf_cstr(&out));
	pg->params = mem_zalloc(pg->params_len + 1, sizeof(*pg->params));
	for (size_t i = 0; i < pg->params_len; i++)
		pg->params[i] = template_parse(params[i], fault, sizeof(fault));
	buf_fini(&out);
}

static void
table_make(struct postgres *pg)
{
	const struct sink_options *o = pg->opts;
	struct buf name;

	buf_init(&name);
	(void)sql_table_add(&name, slice_str(opt_string(o, "table")));
	pg->table.name = mem_strdup(buf_cstr(&name));
	buf_fini(&name);
	pg->table.conflict = conflict_of(o);
	for (size_t i = 0; i < opt_count(o, "columns"); i++)
		pg_table_add(&pg->table, opt_key(o, "columns", i),
		    opt_value_template(o, "columns", i));
	for (size_t i = 0; i < opt_count(o, "key_columns"); i++) {
		const char *key = opt_value(o, "key_columns", i);
		struct pg_column *c = pg_table_find(&pg->table, key);

		if (c == NULL)
			c = pg_table_add(&pg->table, key, NULL);
		c->is_key = true;
	}
}

static void *
postgres_open(struct sink *sink)
{
	struct postgres *pg = mem_zalloc(1, sizeof(*pg));
	const struct sink_options *o = sink_opts(sink);

	pg->sink = sink;
	pg->opts = o;
	pg->timeout_ms = (int)opt_int(o, "timeout_ms");
	pg->uses_copy = opt_bool(o, "use_copy") && !sink_is_test(sink);
	pg->application = mem_printf("bulkhead/%s", sink_connector(sink));
	snprintf(pg->port, sizeof(pg->port), "%d", (int)opt_int(o, "port"));
	template_input_init(&pg->input);
	if (opt_string(o, "sql") != NULL)
		statement_make(pg);
	else
		table_make(pg);
	params_make(pg);
	pg->lanes_len = (size_t)opt_int(o, "pool");
	for (size_t i = 0; i < pg->lanes_len; i++)
		lane_init(&pg->lanes[i], pg, pg->timeout_ms);
	lane_init(&pg->prober, pg,
	    pg->timeout_ms < PROBE_MS ? pg->timeout_ms : PROBE_MS);
	return pg;
}

static void
postgres_close(void *self)
{
	struct postgres *pg = self;

	for (size_t i = 0; i < pg->lanes_len; i++)
		lane_fini(&pg->lanes[i]);
	lane_fini(&pg->prober);
	for (size_t i = 0; i < pg->params_len; i++)
		template_free(pg->params[i]);
	free(pg->params);
	free(pg->statement);
	pg_table_fini(&pg->table);
	template_input_fini(&pg->input);
	free(pg->waiting);
	free(pg->application);
	free(pg);
}

const struct sink_type sink_type = {
    .name = "postgres",
    .help_en = "rows of a PostgreSQL table",
    .help_zh = "写入 PostgreSQL 表的行",
    .options = options,
    .option_count = sizeof(options) / sizeof(*options),
    .caps =
	{
	    .effectively_once = true,
	    .orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION | SINK_ORDER_NONE,
	    .in_flight_max = POSTGRES_POOL_MAX,
	    .bytes_max = 64u << 20,
	    .paths = path_options,
	    .ports = "fixed",
	},
    .validate = postgres_validate,
    .is_exact = postgres_is_exact,
    .open = postgres_open,
    .send_batch = postgres_send_batch,
    .probe = postgres_probe,
    .test = postgres_test,
    .close = postgres_close,
};
