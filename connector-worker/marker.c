#include "base/json.h"
#include "base/log.h"
#include "connector-worker/worker.h"
#include "ipc/proc.h"

#include <sys/mman.h>
#include <unistd.h>

#define MARKER_MAGIC UINT64_C(0x42684d61726b3031)
#define MARKER_SLOTS 16

/*
 * What was with the sink when the process died: the supervisor holds the
 * memory and hands it to the next worker. Plain numbers, always whole
 * enough to read.
 */
struct marker {
	uint64_t magic;
	uint64_t crashes;	/* of this batch, of the worker's own making */
	uint64_t count;
	struct {
		uint64_t incarnation, partition, first, last;
	} slots[MARKER_SLOTS];
};

static struct {
	struct marker *now;
	struct marker before;
} marker;

void
marker_open(bool has_crashed)
{
	int fd = proc_marker_fd();
	void *p;

	if (fd == -1 || (ftruncate(fd, sizeof(struct marker)) == -1))
		return;
	p = mmap(NULL, sizeof(struct marker), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return;
	marker.now = p;
	if (marker.now->magic != MARKER_MAGIC)
		*marker.now = (struct marker){.magic = MARKER_MAGIC};
	if (marker.now->count > MARKER_SLOTS)
		marker.now->count = 0;
	if (has_crashed && marker.now->count > 0) {
		marker.now->crashes++;
		log_warn("the worker crashed %llu times with offsets %llu to "
		    "%llu of partition %llu under way",
		    (unsigned long long)marker.now->crashes,
		    (unsigned long long)marker.now->slots[0].first,
		    (unsigned long long)marker.now->slots[0].last,
		    (unsigned long long)marker.now->slots[0].partition);
	}
	marker.before = *marker.now;
}

static void
marker_add(const struct batch *b, void *arg)
{
	struct marker *m = arg;

	if (b->is_replay || m->count == MARKER_SLOTS)
		return;
	m->slots[m->count].incarnation = b->incarnation;
	m->slots[m->count].partition = b->partition;
	m->slots[m->count].first = b->first;
	m->slots[m->count].last = b->end == 0 ? 0 : b->end - 1;
	m->count++;
}

void
marker_write(const struct flow *f)
{
	if (marker.now == NULL)
		return;
	marker.now->count = 0;
	flow_each_under_way(f, marker_add, marker.now);
	/* Another batch than the one that crashed: it is past that. */
	if (marker.now->crashes > 0 && marker.now->count > 0 &&
	    (marker.before.count == 0 || marker.now->slots[0].first >
	    marker.before.slots[0].last))
		marker.now->crashes = 0;
}

struct json_object *
marker_json(void)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array(), *slot;
	size_t i;

	json_add_u64(o, "crashes",
	    marker.now == NULL ? 0 : marker.now->crashes);
	for (i = 0; marker.now != NULL && i < marker.now->count; i++) {
		slot = json_object_new_object();
		json_add_u64(slot, "partition",
		    marker.now->slots[i].partition);
		json_add_u64(slot, "first", marker.now->slots[i].first);
		json_add_u64(slot, "last", marker.now->slots[i].last);
		json_object_array_add(list, slot);
	}
	json_object_object_add(o, "under_way", list);
	return o;
}
