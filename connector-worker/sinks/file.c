/* links: libzstd zlib */
/*
 * file - records into files: lines, JSON or CSV, rotated, compressed,
 * effectively once by position.
 *
 * Connectors, section 5. A batch is one write and one fdatasync per file,
 * in the writer's thread; the next batch waits for it (serial).
 */
#include "connector-worker/sink.h"

#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/sinks/file_format.h"
#include "connector-worker/sinks/file_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const struct option options[] = {
	{"path", OPTION_STRING, NULL, 1, 1000, NULL,
	    OPTION_REQUIRED | OPTION_TEMPLATE,
	    "the file; relative to the data folder unless it begins with /; "
	    "values stand after a fixed folder and cannot leave it",
	    "文件路径；不以 / 开头时相对于数据目录；模板值须位于固定目录之后，"
	    "且不能离开该目录"},
	{"rotation", OPTION_ENUM, "none", 0, 0, "none|size|hourly|daily", 0,
	    "when a new file is begun; the full one is renamed to "
	    "NAME.NUMBER or NAME.TIME",
	    "何时开始新文件；写满的文件改名为 NAME.编号 或 NAME.时间"},
	{"max_size", OPTION_SIZE, "1GiB", 1 << 20, INT64_C(1) << 40, NULL, 0,
	    "size at which `rotation: size` begins a new file",
	    "rotation: size 时开始新文件的大小"},
	{"keep_files", OPTION_INT, "0", 0, 1000000, NULL, 0,
	    "rotated files that are kept, 0 = all",
	    "保留的已轮转文件数，0 = 全部"},
	{"compression", OPTION_ENUM, "none", 0, 0, "none|gzip|zstd", 0,
	    "each batch is a gzip member or zstd frame of its own",
	    "每批写成一个独立的 gzip 成员或 zstd 帧"},
	{"format", OPTION_ENUM, "lines", 0, 0, "lines|json|csv", 0,
	    "lines: the payload; json: every field; csv: every field",
	    "lines：仅消息内容；json：全部字段；csv：全部字段"},
	{"fsync", OPTION_ENUM, "batch", 0, 0, "batch|none", 0,
	    "batch: on disk before the offset moves, effectively once; none: "
	    "at least once",
	    "batch：落盘后才移动偏移量，恰好一次；none：至少一次"},
};

struct file {
	struct sink *sink;
	const struct template *path;
	struct file_rules rules;
	enum file_format format;
	bool syncs;
	struct outs *outs;
	struct file_writer *writer;
	struct template_input input;
	struct buf name;		/* the path of a record */
	struct out *only;		/* where all records have one path */
	struct sink_batch *batch;	/* with the writer */
	uint64_t incarnation;
	uint64_t turn;
};

/* Of what one batch asks at most; the rest of a large one is given back. */
#define RAW_KEEP (256u << 10)

static void
file_validate(const struct sink_options *o, struct faults *faults)
{
	const struct template *t = opt_template(o, "path");
	struct file_place place;
	const char *fault;

	if (t == NULL)
		return;
	fault = file_place_init(&place, t);
	if (fault == NULL && template_is_constant(t))
		fault = file_path_check(&place, template_prefix(t));
	if (fault != NULL)
		sink_fault(o, faults, "path", "%s", fault);
	if (opt_int(o, "keep_files") > 0 &&
	    opt_choice(o, "rotation") == ROTATE_NONE)
		sink_fault(o, faults, "keep_files",
		    "needs a rotation: size, hourly or daily");
}

static bool
file_is_exact(const struct sink_options *o)
{
	return opt_choice(o, "fsync") == 0;
}

static void file_on_written(void *arg);

static void *
file_open(struct sink *sink)
{
	const struct sink_options *o = sink_opts(sink);
	struct file *f = mem_zalloc(1, sizeof(*f));
	const char *fault;

	f->sink = sink;
	f->path = opt_template(o, "path");
	f->rules.rotation = (enum file_rotation)opt_choice(o, "rotation");
	f->rules.max_size = (uint64_t)opt_int(o, "max_size");
	f->rules.keep_files = (uint64_t)opt_int(o, "keep_files");
	f->rules.is_constant = template_is_constant(f->path);
	f->format = (enum file_format)opt_choice(o, "format");
	f->syncs = opt_choice(o, "fsync") == 0;
	template_input_init(&f->input);
	fault = file_place_init(&f->rules.place, f->path);
	if (fault != NULL)
		sink_reject(sink, "path %s", fault);
	f->writer = file_writer_new(sink_loop(sink),
	    (enum file_compression)opt_choice(o, "compression"), f->syncs,
	    file_on_written, f);
	f->outs = outs_new(sink, &f->rules);
	if (!sink_is_test(sink))
		outs_recover(f->outs);
	return f;
}

static void
file_close(void *self)
{
	struct file *f = self;

	file_writer_free(f->writer);
	outs_free(f->outs);
	template_input_fini(&f->input);
	buf_fini(&f->name);
	free(f);
}

/* The file of a record, ready to be written; NULL: it was answered. */
static struct out *
file_out_of(struct file *f, struct sink_record *r)
{
	const char *why = NULL;
	struct out *out = f->only;

	if (out == NULL) {
		buf_clear(&f->name);
		template_input_set(&f->input, r->rec);
		if (template_render(f->path, &f->input, &f->name, NULL, &why))
			why = file_path_check(&f->rules.place,
			    buf_slice(&f->name));
		if (why != NULL) {
			sink_answer(r, SINK_REFUSED, why);
			return NULL;
		}
		out = outs_find(f->outs, buf_slice(&f->name));
		if (f->rules.is_constant)
			f->only = out;
	}
	if (out_prepare(f->outs, out, f->turn))
		return out;
	sink_answer(r, out->outcome, out->fault);
	return NULL;
}

static void
file_add(struct file *f, struct sink_record *r, struct file_job **jobs)
{
	struct out *out = file_out_of(f, r);

	if (out == NULL)
		return;
	f->incarnation = r->rec->incarnation;
	if (outs_has_already(f->outs, out, r->rec)) {
		sink_answer(r, SINK_DELIVERED, NULL);
		return;
	}
	if (!out->is_dirty) {
		out->is_dirty = true;
		buf_trim(&out->raw, RAW_KEEP);
		if (out->state.length == 0)
			file_format_begin(&out->raw, f->format);
		out->job = (struct file_job){.next = *jobs, .fd = out->fd,
		    .offset = out->state.length, .raw = &out->raw};
		*jobs = &out->job;
	}
	file_format_add(&out->raw, f->format, &f->input, r->rec);
	r->data = out;
}

static void
file_send_batch(void *self, struct sink_batch *batch)
{
	struct file_job *jobs = NULL;
	struct file *f = self;
	size_t i;

	bug_on(f->batch != NULL);
	f->turn++;
	for (i = 0; i < batch->count; i++)
		file_add(f, batch->records[i], &jobs);
	outs_passed(f->outs, batch, f->incarnation);
	if (jobs == NULL)
		return;
	f->batch = batch;
	file_writer_start(f->writer, jobs);
}

static void
file_answer(struct file *f, struct sink_record *r)
{
	struct out *out = r->data;
	char why[320];

	if (out == NULL)
		return;
	if (out->is_dirty) {
		if (out->job.error == 0)
			out_written(f->outs, out, f->batch, f->incarnation);
		else
			out_failed(f->outs, out);
	}
	if (out->job.error == 0) {
		sink_answer(r, SINK_DELIVERED, NULL);
		return;
	}
	snprintf(why, sizeof(why), "%.200s: %s", out->path,
	    strerror(out->job.error));
	sink_answer(r, SINK_UNAVAILABLE, why);
}

/* The writer is done with the batch. */
static void
file_on_written(void *arg)
{
	struct file *f = arg;
	size_t i;

	for (i = 0; i < f->batch->count; i++)
		file_answer(f, f->batch->records[i]);
	f->batch = NULL;
}

/* The folder must be there and let us in. */
static const char *
file_folder_fault(const struct file *f)
{
	const char *base = f->rules.place.base;

	if (faccessat(AT_FDCWD, base, W_OK | X_OK, AT_EACCESS) == 0)
		return NULL;
	/* A folder that is not there is made with the first record. */
	return errno == ENOENT ? NULL : strerror(errno);
}

static void
file_probe(void *self)
{
	struct file *f = self;
	const char *fault = file_folder_fault(f);

	sink_probed(f->sink, fault == NULL, fault);
}

static void
file_test(void *self)
{
	struct file *f = self;
	const char *base = f->rules.place.base;
	const char *fault = file_folder_fault(f);
	struct statvfs vfs;

	sink_found(f->sink, "folder", "%s%s", base,
	    access(base, F_OK) == 0 ? "" : " (will be made)");
	if (statvfs(base, &vfs) == 0)
		sink_found(f->sink, "free space", "%llu MiB",
		    (unsigned long long)vfs.f_bavail * vfs.f_frsize >> 20);
	sink_tested(f->sink, fault == NULL, fault);
}

static const char *const paths[] = {"path", NULL};

const struct sink_type sink_type = {
	.name = "file",
	.help_en = "Files on this machine: lines, JSON or CSV, rotated and "
	    "compressed.",
	.help_zh = "本机文件：按行、JSON 或 CSV，可轮转和压缩。",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.caps = {
		.effectively_once = true,
		.serial = true,
		.orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION |
		    SINK_ORDER_NONE,
		.in_flight_max = 1,
		.paths = paths,
		.ports = "none",
		.writes_files = true,
	},
	.validate = file_validate,
	.is_exact = file_is_exact,
	.open = file_open,
	.send_batch = file_send_batch,
	.probe = file_probe,
	.test = file_test,
	.close = file_close,
};
