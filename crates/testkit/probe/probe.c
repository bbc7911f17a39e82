/*
 * probe: what tests need and a shell cannot say. One static program, used on both sides: the
 * sandbox starts it as pid 1 of each test, containers carry it as /bin/probe, and tests run it as
 * the far end of sockets and terminals. Each mode prints plain `key value` lines.
 * Compiled once per source text by taru-testkit (`cc -static`).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

static int die(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	return 125;
}

/* ---- the sandbox's pid 1 ------------------------------------------------------------------ */

static int loopback_up(void)
{
	struct ifreq request = { .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	strcpy(request.ifr_name, "lo");
	int result = ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return result;
}

/* init [no-unified] [tmp] -- PROGRAM ARGS...: mounts /proc, an empty /run (and /tmp), then runs
 * PROGRAM and reaps whatever is orphaned until PROGRAM ends; its status is ours. */
static int init_mode(int argc, char **argv)
{
	int i = 0;
	if (mount("proc", "/proc", "proc", 0, NULL))
		return die("mount /proc");
	if (mount("tmpfs", "/run", "tmpfs", 0, "mode=755"))
		return die("mount /run");
	for (; i < argc && strcmp(argv[i], "--"); i++) {
		if (!strcmp(argv[i], "no-unified"))
			umount2("/sys/fs/cgroup/unified", MNT_DETACH);
		else if (!strcmp(argv[i], "tmp") && mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777"))
			return die("mount /tmp");
	}
	if (++i >= argc)
		return 125;
	loopback_up();
	umask(022);
	pid_t main_child = fork();
	if (main_child < 0)
		return die("fork");
	if (main_child == 0) {
		setsid();
		execv(argv[i], argv + i);
		_exit(die(argv[i]));
	}
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);
		if (pid < 0 && errno != EINTR)
			return die("waitpid");
		if (pid == main_child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
}

/* ---- attackers ----------------------------------------------------------------------------- */

/* swap A B: exchanges two names for ever, as fast as it can. */
static int swap_mode(const char *a, const char *b)
{
	for (;;)
		if (syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) && errno != ENOENT)
			return die("renameat2");
}

/* open-exes: for ever tries to open every other process's executable for writing (a container
 * after the runtime's binary); says so when one opens. */
__attribute__((noreturn)) static int open_exes_mode(void)
{
		long tries = 0, rounds = 0;
	char path[300];
	for (;;) {
		DIR *proc = opendir("/proc");
		struct dirent *entry;
		while (proc && (entry = readdir(proc))) {
			if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || atoi(entry->d_name) == getpid())
				continue;
			snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
			char target[256];
			ssize_t length = readlink(path, target, sizeof target - 1);
			if (length < 0)
				continue;
						target[length] = 0;
			if (!strncmp(target, "/bin/", 5))
				continue;
			int hold = open(path, O_PATH | O_CLOEXEC);
			if (hold < 0)
				continue;
			/* A runtime's process ends soon: its text is no longer busy then. */
			char again[64];
			snprintf(again, sizeof again, "/proc/self/fd/%d", hold);
			for (int k = 0; k < 40; k++) {
				int fd = open(again, O_WRONLY | O_CLOEXEC);
				if (fd >= 0) {
										/* What is opened may still be sealed: only a write counts. */
					if (pwrite(fd, "#", 1, 0) == 1) {
						printf("wrote %s\n", target);
						fflush(stdout);
					}
					close(fd);
					break;
				}
				if (errno != ETXTBSY)
					break;
				usleep(50);
			}
			close(hold);
			tries++;
		}
		if (proc)
			closedir(proc);
		if (++rounds % 64 == 0) {
			int fd = open("/tries", O_WRONLY | O_CREAT | O_TRUNC, 0644);
			if (fd >= 0) {
				dprintf(fd, "%ld rounds, %ld executables\n", rounds, tries);
				close(fd);
			}
		}
	}
}

/* as-pid PID PROGRAM...: runs a program under a chosen process id, as a recycled one would have. */
static int as_pid_mode(int argc, char **argv)
{
	if (argc < 2)
		return 125;
	pid_t wanted = atoi(argv[0]);
	uint64_t args[11] = { 0 };
	args[4] = SIGCHLD;
	args[8] = (uint64_t)(uintptr_t)&wanted;
	args[9] = 1;
	long pid = syscall(SYS_clone3, args, sizeof args);
	if (pid < 0)
		return die("clone3");
	if (pid == 0) {
		execv(argv[1], argv + 1);
		_exit(die(argv[1]));
	}
	int status;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- facts about the calling process --------------------------------------------------------- */

struct sched_attr_v1 {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static int sched_mode(void)
{
	struct sched_attr_v1 attr = { 0 };
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0))
		return die("sched_getattr");
	printf("policy %u\nnice %d\npriority %u\nflags %llu\nruntime %llu\ndeadline %llu\nperiod %llu\n", attr.policy,
	       attr.nice, attr.priority, (unsigned long long)attr.flags, (unsigned long long)attr.runtime,
	       (unsigned long long)attr.deadline, (unsigned long long)attr.period);
	long ioprio = syscall(SYS_ioprio_get, 1, 0);
	printf("ioprio_class %ld\nioprio_level %ld\n", ioprio >> 13, ioprio & 0x1fff);
	return 0;
}

static int mempolicy_mode(void)
{
	int mode = -1;
	unsigned long nodes[16] = { 0 };
	if (syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, 0, 0))
		return die("get_mempolicy");
	printf("mode %d\nnodes %lx\n", mode, nodes[0]);
	return 0;
}

static int keyring_mode(void)
{
	long id = syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3 /* session */, 0, 0, 0);
	char text[256] = "";
	if (id < 0)
		return die("keyctl");
	syscall(SYS_keyctl, 6 /* KEYCTL_DESCRIBE */, id, text, sizeof text - 1, 0);
	printf("session %ld\ndescription %s\n", id, text);
	return 0;
}

static int fds_mode(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		char path[32], target[512];
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		ssize_t length = readlink(path, target, sizeof target - 1);
		if (length < 0)
			continue;
		target[length] = 0;
		printf("%d %s\n", fd, target);
	}
	return 0;
}

static int clocks_mode(void)
{
	struct timespec mono, boot;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	printf("monotonic %lld\nboottime %lld\n", (long long)mono.tv_sec, (long long)boot.tv_sec);
	return 0;
}

static int ids_mode(void)
{
	uid_t r, e, s;
	gid_t rg, eg, sg, groups[512];
	getresuid(&r, &e, &s);
	getresgid(&rg, &eg, &sg);
	int count = getgroups(512, groups);
	mode_t mask = umask(0);
	printf("uids %u %u %u\ngids %u %u %u\numask %03o\ngroups", r, e, s, rg, eg, sg, mask);
	for (int i = 0; i < count; i++)
		printf(" %u", groups[i]);
	printf("\npersonality %x\n", personality(0xffffffff));
	return 0;
}

/* syscall NR ARGS...: numbers as given, anything else as a pointer to the text. */
static int syscall_mode(int argc, char **argv)
{
	long a[7] = { 0 };
	for (int i = 0; i < argc && i < 7; i++) {
		char *end;
		a[i] = strtol(argv[i], &end, 0);
		if (*end || end == argv[i])
			a[i] = (long)argv[i];
	}
	errno = 0;
	long result = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	printf("%ld %s\n", result, result < 0 ? strerrorname_np(errno) : "ok");
	return 0;
}

/* ---- far ends of sockets and terminals ------------------------------------------------------- */

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof address.sun_path)
		return -1;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4))
		return -1;
	return fd;
}

static int receive_fd(int socket_fd, char *text, size_t size)
{
	char control[CMSG_SPACE(sizeof(int) * 4)];
	struct iovec part = { .iov_base = text, .iov_len = size - 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	ssize_t length = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
	if (length < 0)
		return -1;
	text[length] = 0;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return -1;
	int fd;
	memcpy(&fd, CMSG_DATA(header), sizeof fd);
	return fd;
}

/* Copies master to stdout and stdin to master until the far side hangs up (or `child` ended). */
static void relay(int master)
{
	struct pollfd polled[2] = { { .fd = master, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	char data[4096];
	for (;;) {
		if (poll(polled, 2, -1) < 0 && errno != EINTR)
			return;
		if (polled[0].revents) {
			ssize_t length = read(master, data, sizeof data);
			if (length <= 0)
				return;
			if (write(1, data, length) < 0)
				return;
		}
		if (polled[1].revents) {
			ssize_t length = read(0, data, sizeof data);
			if (length <= 0)
				polled[1].fd = -1;
			else if (write(master, data, length) < 0)
				return;
		}
	}
}

/* console SOCKET: receives one terminal as a console socket's owner does, describes it, relays. */
static int console_mode(const char *path)
{
	int listener = listen_at(path);
	if (listener < 0)
		return die("listen");
	printf("listening\n");
	fflush(stdout);
	int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char text[256];
	int master = receive_fd(connection, text, sizeof text);
	if (master < 0)
		return die("receive terminal");
	struct winsize size = { 0 };
	ioctl(master, TIOCGWINSZ, &size);
	struct stat info;
	fstat(master, &info);
	printf("message %s\nis_tty %d\nsize %ux%u\nrdev %u:%u\n---\n", text, isatty(master), size.ws_row, size.ws_col,
	       (unsigned)(info.st_rdev >> 8), (unsigned)(info.st_rdev & 0xff));
	fflush(stdout);
	relay(master);
	return 0;
}

static int pty_master = -1;
static void on_resize(int signal)
{
	(void)signal;
	struct winsize size = { .ws_row = 50, .ws_col = 132 };
	ioctl(pty_master, TIOCSWINSZ, &size);
}

/* pty ROWS COLUMNS PROGRAM...: runs a program with a new controlling terminal, relaying it.
 * SIGUSR1 resizes the terminal to 50x132. */
static int pty_mode(int argc, char **argv)
{
	if (argc < 3)
		return 125;
	struct winsize size = { .ws_row = atoi(argv[0]), .ws_col = atoi(argv[1]) };
	pid_t pid = forkpty(&pty_master, NULL, NULL, &size);
	if (pid < 0)
		return die("forkpty");
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		_exit(die(argv[2]));
	}
	signal(SIGUSR1, on_resize);
	relay(pty_master);
	int status;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* seccomp-agent SOCKET: receives a seccomp listener, prints the container process state that came
 * with it, and answers every notification with ENOMSG until none can come any more. */
static int seccomp_agent_mode(const char *path)
{
	int listener = listen_at(path);
	if (listener < 0)
		return die("listen");
	printf("listening\n");
	fflush(stdout);
	int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char text[65536];
	int fd = receive_fd(connection, text, sizeof text);
	if (fd < 0)
		return die("receive listener");
		for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = ' ';
	printf("state %s\n", text);
	fflush(stdout);
	for (;;) {
		struct pollfd polled = { .fd = fd, .events = POLLIN };
		if (poll(&polled, 1, -1) < 0)
			return 0;
		if (!(polled.revents & POLLIN))
			return 0;
		struct seccomp_notif request = { 0 };
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &request))
			continue;
		printf("notified %d\n", request.data.nr);
		fflush(stdout);
		struct seccomp_notif_resp response = { .id = request.id, .error = -ENOMSG };
		ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
	}
}

/* ---- signals ---------------------------------------------------------------------------------- */

static void on_signal(int number)
{
	dprintf(1, "got %d\n", number);
	if (number == SIGTERM)
		_exit(42);
}

/* signals: prints every signal that arrives; SIGTERM ends it with 42. */
__attribute__((noreturn)) static int signals_mode(void)
{
	for (int number = 1; number < 65; number++)
		signal(number, on_signal);
	dprintf(1, "ready\n");
	for (;;)
		pause();
}

/* notify TEXT: sends TEXT where NOTIFY_SOCKET says, as sd_notify(3) does. */
static int notify_mode(const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!path)
		return fprintf(stderr, "probe: no NOTIFY_SOCKET\n"), 1;
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&address, sizeof address) < 0)
		return die("sendto");
	printf("%s\n", path);
	return 0;
}

/*
 * power-cut DIR: the ext4 file system that DIR lies on does nothing more, and forgets what is not on
 * its disk (EXT4_IOC_SHUTDOWN, flag NOLOGFLUSH: not even the journal is written).
 */
static int power_cut_mode(const char *path)
{
	uint32_t flag = 2;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return die("open");
	if (ioctl(fd, _IOR('X', 125, uint32_t), &flag))
		return die("ioctl EXT4_IOC_SHUTDOWN");
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	if (!strcmp(mode, "init"))
		return init_mode(argc - 2, argv + 2);
	if (!strcmp(mode, "swap") && argc == 4)
		return swap_mode(argv[2], argv[3]);
		if (!strcmp(mode, "as-pid"))
		return as_pid_mode(argc - 2, argv + 2);
	if (!strcmp(mode, "open-exes"))
		return open_exes_mode();
	if (!strcmp(mode, "sched"))
		return sched_mode();
	if (!strcmp(mode, "mempolicy"))
		return mempolicy_mode();
	if (!strcmp(mode, "keyring"))
		return keyring_mode();
	if (!strcmp(mode, "fds"))
		return fds_mode();
	if (!strcmp(mode, "clocks"))
		return clocks_mode();
	if (!strcmp(mode, "ids"))
		return ids_mode();
	if (!strcmp(mode, "syscall"))
		return syscall_mode(argc - 2, argv + 2);
	if (!strcmp(mode, "console") && argc == 3)
		return console_mode(argv[2]);
	if (!strcmp(mode, "pty"))
		return pty_mode(argc - 2, argv + 2);
	if (!strcmp(mode, "seccomp-agent") && argc == 3)
		return seccomp_agent_mode(argv[2]);
	if (!strcmp(mode, "notify") && argc == 3)
		return notify_mode(argv[2]);
	if (!strcmp(mode, "signals"))
		return signals_mode();
	if (!strcmp(mode, "power-cut") && argc == 3)
		return power_cut_mode(argv[2]);
	fprintf(stderr, "probe: unknown mode `%s`\n", mode);
	return 125;
}
