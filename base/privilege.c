#include "base/privilege.h"

#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Leaves only CAP_DAC_OVERRIDE, or nothing. */
static const char *
capabilities_keep(bool dac_override, bool across_exec)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
	uint32_t kept = dac_override ? 1u << CAP_DAC_OVERRIDE : 0;

	data[0].effective = data[0].permitted = kept;
	data[0].inheritable = across_exec ? kept : 0;
	if (syscall(SYS_capset, &head, data) == -1)
		return "capset";
	if (kept != 0 && across_exec &&
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0,
		0) == -1)
		return "PR_CAP_AMBIENT";
	return NULL;
}

static const char *
ids_change(uid_t uid, gid_t gid, bool dac_override, bool across_exec)
{
	if (uid == 0 || geteuid() != 0)
		return NULL;
	if (dac_override && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1)
		return "PR_SET_KEEPCAPS";
	if (setgroups(0, NULL) == -1)
		return "setgroups";
	if (setresgid(gid, gid, gid) == -1)
		return "setresgid";
	if (setresuid(uid, uid, uid) == -1)
		return "setresuid";
	return capabilities_keep(dac_override, across_exec);
}

const char *
privilege_drop(uid_t uid, gid_t gid, bool dac_override, bool across_exec)
{
	const char *why = ids_change(uid, gid, dac_override, across_exec);

	if (why == NULL && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		why = "PR_SET_NO_NEW_PRIVS";
	return why;
}
