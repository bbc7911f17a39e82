/* Tries what a program in a container should not be able to do, and prints one line an action: NAME ok, or
 * NAME and the error. Nothing that succeeds does harm: null pointers, own children, values written back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int call(long nr, long a, long b, long c, long d, long e)
{
	return syscall(nr, a, b, c, d, e, 0) == -1 ? -1 : 0;
}

static int open_read(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t got = read(fd, &byte, 1);
	int error = got == 0 ? ENODATA : errno;
	close(fd);
	errno = error;
	return got == 1 ? 0 : -1;
}

/* Writes back what is there: to be allowed is the offence. */
static int rewrite(const char *path)
{
	char text[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
	if (fd >= 0)
		close(fd);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int done = got > 0 ? write(fd, text, got) : 0;
	close(fd);
	return done < 0 ? -1 : 0;
}

static int open_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int node(mode_t type, int major_number, int minor_number)
{
	char path[] = "/tmp/node-XXXXXX";
	close(mkstemp(path));
	unlink(path);
	if (mknod(path, type | 0600, makedev(major_number, minor_number)))
		return -1;
	unlink(path);
	return 0;
}

static int make_dir(const char *path)
{
	if (mkdir(path, 0700))
		return -1;
	rmdir(path);
	return 0;
}

static int family(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int setns_self(void)
{
	int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -1 : setns(fd, 0);
}

static int userns_mount(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return -1;
	return mount("none", "/tmp", "tmpfs", 0, NULL);
}

static int new_user_by_clone3(void)
{
	unsigned long long args[11] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };
	long pid = syscall(SYS_clone3, args, 64);
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : waitpid(pid, NULL, 0) < 0;
}

static int new_user_by_clone(void)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : waitpid(pid, NULL, 0) < 0;
}

static int process_vm(void)
{
	char from = 1, to = 0;
	struct iovec local = { &to, 1 }, remote = { &from, 1 };
	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1 ? 0 : -1;
}

static int pidfd_getfd_self(void)
{
	int fd = syscall(SYS_pidfd_open, getpid(), 0);
	return fd < 0 ? -1 : call(SYS_pidfd_getfd, fd, 1, 0, 0, 0);
}

static int nice_negative(void)
{
	errno = 0;
	return setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - 5);
}

static int by_handle(void)
{
	struct { struct file_handle handle; char space[128]; } h = { .handle.handle_bytes = 8, .handle.handle_type = 1 };
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	errno = 0;
	int got = open_by_handle_at(fd, &h.handle, O_RDONLY);
	/* A stale handle means that the call was let through. */
	return got >= 0 || errno == ESTALE || errno == EINVAL ? 0 : -1;
}

#define ROOM(name) static char name[256]
ROOM(room);

struct action { const char *name; int (*act)(void); };
#define A(name, expression) static int do_##name(void) { return (expression); }
#define REACHED(expression) ((expression) == 0 || errno == EFAULT || errno == EINVAL || errno == EBADF ? 0 : -1)

A(unshare_user, unshare(CLONE_NEWUSER))
A(userns_mount, userns_mount())
A(clone_user, new_user_by_clone())
A(clone3_user, new_user_by_clone3())
A(unshare_net, unshare(CLONE_NEWNET))
A(unshare_mount, unshare(CLONE_NEWNS))
A(mount_tmpfs, mount("none", "/tmp", "tmpfs", 0, NULL))
A(remount_rw, mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL))
A(umount_proc, umount2("/proc", MNT_DETACH))
A(fsopen, call(SYS_fsopen, (long)"tmpfs", 0, 0, 0, 0))
A(open_tree, call(SYS_open_tree, AT_FDCWD, (long)"/", 1, 0, 0))
A(setns_self, setns_self())
A(chroot, chroot("/"))
A(pivot_root, REACHED(call(SYS_pivot_root, 0, 0, 0, 0, 0)))
A(add_key, call(SYS_add_key, (long)"user", (long)"k", (long)"v", 1, KEY_SPEC_PROCESS_KEYRING))
A(keyctl, call(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0))
A(io_uring, REACHED(call(SYS_io_uring_setup, 1, (long)room, 0, 0, 0)))
A(userfaultfd, call(SYS_userfaultfd, 1, 0, 0, 0, 0))
A(bpf, REACHED(call(SYS_bpf, 0, (long)room, 72, 0, 0)))
A(perf_event, REACHED(call(SYS_perf_event_open, 0, 0, -1, -1, 0)))
A(ptrace_traceme, ptrace(PTRACE_TRACEME, 0, 0, 0) == -1 ? -1 : 0)
A(process_vm, process_vm())
A(pidfd_getfd, pidfd_getfd_self())
A(personality, personality(ADDR_NO_RANDOMIZE) == -1 ? -1 : 0)
A(syslog, klogctl(10, NULL, 0) < 0 ? -1 : 0)
A(quotactl, REACHED(call(SYS_quotactl, 0, 0, 0, 0, 0)))
A(swapon, REACHED(swapon(NULL, 0)))
A(fanotify, call(SYS_fanotify_init, 0, 0, 0, 0, 0))
A(nice_negative, nice_negative())
A(landlock, call(SYS_landlock_create_ruleset, 0, 0, 1, 0, 0))
A(memfd, call(SYS_memfd_create, (long)"m", 1, 0, 0, 0))
A(by_handle, by_handle())
A(kexec, REACHED(call(SYS_kexec_load, 0, 99, 0, 0, 0)))
A(init_module, REACHED(call(SYS_init_module, 0, 0, 0, 0, 0)))
#ifdef SYS_iopl
A(iopl, call(SYS_iopl, 3, 0, 0, 0, 0))
#else
A(iopl, -1)
#endif
A(set_time, REACHED(call(SYS_clock_settime, 0, 0, 0, 0, 0)))
A(reboot, REACHED(call(SYS_reboot, 0, 0, 0, 0, 0)))
A(sethostname, sethostname("x", 1))
A(netlink_route, family(AF_NETLINK, SOCK_RAW, 0))
A(netlink_xfrm, family(AF_NETLINK, SOCK_RAW, 6))
A(netlink_netfilter, family(AF_NETLINK, SOCK_RAW, 12))
A(netlink_audit, family(AF_NETLINK, SOCK_RAW, 9))
A(af_vsock, family(40, SOCK_STREAM, 0))
A(af_packet, family(AF_PACKET, SOCK_RAW, 0))
A(af_alg, family(38, SOCK_SEQPACKET, 0))
A(af_rxrpc, family(33, SOCK_DGRAM, AF_INET))
A(af_xdp, family(44, SOCK_RAW, 0))
A(raw_icmp, family(AF_INET, SOCK_RAW, 1))
A(block_node, node(S_IFBLK, 254, 0))
A(memory_node, node(S_IFCHR, 1, 1))
A(open_memory, open_read("/dev/mem"))
A(read_kcore, open_read("/proc/kcore"))
A(read_keys, open_read("/proc/keys"))
A(read_timer_list, open_read("/proc/timer_list"))
A(write_core_pattern, rewrite("/proc/sys/kernel/core_pattern"))
A(write_sysrq, open_write("/proc/sysrq-trigger"))
A(write_hostname, rewrite("/proc/sys/kernel/hostname"))
A(write_uevent_helper, rewrite("/sys/kernel/uevent_helper"))
A(write_sys, rewrite("/sys/kernel/mm/transparent_hugepage/enabled"))
A(write_oom, rewrite("/proc/sys/vm/overcommit_memory"))
A(make_cgroup, make_dir("/sys/fs/cgroup/taru-posture"))
A(make_usr, make_dir("/usr/taru-posture"))

#define L(name) { #name, do_##name }
static const struct action actions[] = {
	L(unshare_user), L(userns_mount), L(clone_user), L(clone3_user), L(unshare_net), L(unshare_mount), L(mount_tmpfs),
	L(remount_rw), L(umount_proc), L(fsopen), L(open_tree), L(setns_self), L(chroot), L(pivot_root), L(add_key),
	L(keyctl), L(io_uring), L(userfaultfd), L(bpf), L(perf_event), L(ptrace_traceme), L(process_vm), L(pidfd_getfd),
	L(personality), L(syslog), L(quotactl), L(swapon), L(fanotify), L(nice_negative), L(landlock), L(memfd),
	L(by_handle), L(kexec), L(init_module), L(iopl), L(set_time), L(reboot), L(sethostname), L(netlink_route),
	L(netlink_xfrm), L(netlink_netfilter), L(netlink_audit), L(af_vsock), L(af_packet), L(af_alg), L(af_rxrpc),
	L(af_xdp), L(raw_icmp), L(block_node), L(memory_node), L(open_memory), L(read_kcore), L(read_keys),
	L(read_timer_list), L(write_core_pattern), L(write_sysrq), L(write_hostname), L(write_uevent_helper), L(write_sys),
	L(write_oom), L(make_cgroup), L(make_usr),
};

int main(void)
{
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		fflush(stdout);
		/* Each in a child: what one action changes, the next does not meet. */
		pid_t pid = fork();
		if (pid == 0) {
			errno = 0;
			int failed = actions[i].act();
			printf("%s %s\n", actions[i].name, failed ? strerrorname_np(errno) : "ok");
			fflush(stdout);
			_exit(0);
		}
		int status;
		waitpid(pid, &status, 0);
		if (!WIFEXITED(status))
			printf("%s ended by signal %d\n", actions[i].name, WTERMSIG(status));
	}
	return 0;
}
