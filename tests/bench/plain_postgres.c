/* links: libpq */
/*
 * plain_postgres - the least a program over libpq does to insert rows: what
 * the postgres sink is measured against.
 *
 *	plain_postgres CONNINFO TABLE ROWS BATCH rows|arrays|copy
 *
 * The table is id text primary key, topic text, payload jsonb, at
 * timestamptz (or what takes these texts). rows: a prepared INSERT per row,
 * pipelined, a transaction per batch. arrays: one INSERT ... SELECT FROM
 * unnest(...) per batch with ON CONFLICT DO NOTHING. copy: COPY in text.
 * Prints JSON: rows per second, microseconds of own CPU per row.
 */
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <time.h>

#define COLUMNS 4
#define VALUE 512

static struct bench {
	PGconn *conn;
	const char *table;
	long done;
	char (*values)[COLUMNS][VALUE];
} bench;

static void
die(const char *what)
{
	fprintf(stderr, "plain_postgres: %s: %s", what,
	    PQerrorMessage(bench.conn));
	exit(1);
}

static void
fill(long batch)
{
	for (long i = 0; i < batch; i++) {
		char (*v)[VALUE] = bench.values[i];

		snprintf(v[0], VALUE, "t.99-0-%ld", bench.done + i);
		snprintf(v[1], VALUE, "plant/%ld/telemetry", i % 100);
		snprintf(v[2], VALUE, "{\"device\": \"pump-%ld\", \"note\": "
		    "\"%0190d\"}", i, 7);
		snprintf(v[3], VALUE, "2026-01-01 00:00:%02ld", i % 60);
	}
}

static void
expect(ExecStatusType want)
{
	PGresult *r = PQgetResult(bench.conn);

	if (PQresultStatus(r) != want)
		die("unexpected answer");
	PQclear(r);
	if (want != PGRES_PIPELINE_SYNC && PQgetResult(bench.conn) != NULL)
		die("one answer too many");
}

static void
send_rows(long batch)
{
	PQsendQueryParams(bench.conn, "BEGIN", 0, NULL, NULL, NULL, NULL, 0);
	for (long i = 0; i < batch; i++) {
		const char *v[COLUMNS];

		for (int c = 0; c < COLUMNS; c++)
			v[c] = bench.values[i][c];
		if (!PQsendQueryPrepared(bench.conn, "i", COLUMNS, v, NULL,
		    NULL, 0))
			die("send");
	}
	PQsendQueryParams(bench.conn, "COMMIT", 0, NULL, NULL, NULL, NULL, 0);
	if (!PQpipelineSync(bench.conn))
		die("sync");
	for (long i = 0; i < batch + 2; i++)
		expect(PGRES_COMMAND_OK);
	expect(PGRES_PIPELINE_SYNC);
}

static void
add_u32(char **p, uint32_t v)
{
	v = htonl(v);
	memcpy(*p, &v, 4);
	*p += 4;
}

/* text[] in its binary form. */
static char *
make_array(long batch, int column, int *len)
{
	char *start = malloc((size_t)batch * (VALUE + 4) + 20), *p = start;

	add_u32(&p, 1);
	add_u32(&p, 0);
	add_u32(&p, 25);
	add_u32(&p, (uint32_t)batch);
	add_u32(&p, 1);
	for (long i = 0; i < batch; i++) {
		size_t n = strlen(bench.values[i][column]);

		add_u32(&p, (uint32_t)n);
		memcpy(p, bench.values[i][column], n);
		p += n;
	}
	*len = (int)(p - start);
	return start;
}

static void
send_arrays(long batch)
{
	char *v[COLUMNS];
	int len[COLUMNS], binary[COLUMNS] = {1, 1, 1, 1};

	for (int c = 0; c < COLUMNS; c++)
		v[c] = make_array(batch, c, &len[c]);
	if (!PQsendQueryPrepared(bench.conn, "a", COLUMNS,
	    (const char *const *)v, len, binary, 0) ||
	    !PQpipelineSync(bench.conn))
		die("send");
	expect(PGRES_COMMAND_OK);
	expect(PGRES_PIPELINE_SYNC);
	for (int c = 0; c < COLUMNS; c++)
		free(v[c]);
}

static void
send_copy(long batch)
{
	char text[256];
	PGresult *r;

	snprintf(text, sizeof(text), "COPY %s FROM STDIN", bench.table);
	r = PQexec(bench.conn, text);
	if (PQresultStatus(r) != PGRES_COPY_IN)
		die("copy");
	PQclear(r);
	for (long i = 0; i < batch; i++) {
		char line[COLUMNS * VALUE];
		int n = snprintf(line, sizeof(line), "%s\t%s\t%s\t%s\n",
		    bench.values[i][0], bench.values[i][1],
		    bench.values[i][2], bench.values[i][3]);

		if (PQputCopyData(bench.conn, line, n) != 1)
			die("copy data");
	}
	PQputCopyEnd(bench.conn, NULL);
	expect(PGRES_COMMAND_OK);
}

static void
prepare(const char *mode)
{
	char text[1024];
	PGresult *r;

	snprintf(text, sizeof(text), mode[0] == 'a'
	    ? "INSERT INTO %s SELECT a, b, c::jsonb, d::timestamptz FROM "
	      "unnest($1::text[], $2::text[], $3::text[], $4::text[]) "
	      "AS u(a, b, c, d) ON CONFLICT (id) DO NOTHING"
	    : "INSERT INTO %s VALUES ($1, $2, $3, $4)", bench.table);
	r = PQprepare(bench.conn, mode[0] == 'a' ? "a" : "i", text, 0, NULL);
	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		die("prepare");
	PQclear(r);
	if (mode[0] != 'c' && !PQenterPipelineMode(bench.conn))
		die("pipeline");
}

static double
seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	long rows, batch;
	double wall, cpu;

	if (argc != 6) {
		fprintf(stderr, "usage: plain_postgres CONNINFO TABLE ROWS "
		    "BATCH rows|arrays|copy\n");
		return 2;
	}
	rows = strtol(argv[3], NULL, 10);
	batch = strtol(argv[4], NULL, 10);
	bench.table = argv[2];
	bench.values = calloc((size_t)batch, sizeof(*bench.values));
	bench.conn = PQconnectdb(argv[1]);
	if (PQstatus(bench.conn) != CONNECTION_OK)
		die("connect");
	prepare(argv[5]);
	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (; bench.done < rows; bench.done += batch) {
		fill(batch);
		if (argv[5][0] == 'r')
			send_rows(batch);
		else if (argv[5][0] == 'a')
			send_arrays(batch);
		else
			send_copy(batch);
	}
	wall = seconds(CLOCK_MONOTONIC) - wall;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("{\"rows\":%ld,\"rows_per_s\":%.0f,\"cpu_us_per_row\":%.2f}\n",
	    bench.done, (double)bench.done / wall,
	    cpu * 1e6 / (double)bench.done);
	PQfinish(bench.conn);
	return 0;
}
