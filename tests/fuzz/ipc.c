/* links: ipc base */
/* Every message of the table: bytes in, and out again where they decode. */
#include "ipc/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzz_lists(uint8_t type, union ipc_any *m)
{
	struct ipc_publish_item item;
	struct ipc_deliver_item deliver;
	struct ipc_queue_item queue;
	struct ipc_session_sub sub;

	if (type == IPC_PUBLISH)
		while (ipc_next_publish_item(&m->publish.items, &item) == 1)
			;
	if (type == IPC_DELIVER)
		while (ipc_next_deliver_item(&m->deliver.items, &deliver) == 1)
			;
	if (type == IPC_QUEUE)
		while (ipc_next_queue_item(&m->queue.items, &queue) == 1)
			;
	if (type == IPC_SUBSCRIBE)
		while (ipc_next_session_sub(&m->subscribe.subs, &sub) == 1)
			;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ipc_info *info;
	union ipc_any m;
	struct buf out = {0};

	if (size < 1 || (info = ipc_info(data[0])) == NULL)
		return 0;
	memset(&m, 0, sizeof(m));
	if (info->get(slice_of(data + 1, size - 1), &m)) {
		info->put(&out, &m);
		info->print(&out, &m);
		fuzz_lists(data[0], &m);
	}
	buf_fini(&out);
	return 0;
}
