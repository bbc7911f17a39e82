/* floor ROOTFS NAME
 *
 * What the kernel itself charges for a container: the namespaces, mounts, devices and control groups of runc's
 * default configuration, made with the fewest calls and no checks, around one execution of /bin/true in ROOTFS.
 * It is not a runtime: it reads no configuration, resolves no path safely, and leaves capabilities alone. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUPS "/sys/fs/cgroup"

static char controllers[32][64];
static int count;

static void need(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		_exit(1);
	}
}

/* The hierarchies of v1 are directories of their mount's parent; v2 has its own file there. */
static void find_controllers(void)
{
	struct dirent *entry;
	DIR *dir;

	if (!access(GROUPS "/cgroup.procs", F_OK)) {
		strcpy(controllers[count++], ".");
		return;
	}
	dir = opendir(GROUPS);
	while (dir && count < 32 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(controllers[count++], sizeof *controllers, "%.63s", entry->d_name);
	closedir(dir);
}

static void join_groups(const char *name)
{
	char path[512];

	for (int i = 0; i < count; i++) {
		int file;
		snprintf(path, sizeof path, GROUPS "/%s/%s/cgroup.procs", controllers[i], name);
		file = open(path, O_WRONLY | O_CLOEXEC);
		need(file, path);
		need(write(file, "0", 1), path);
		close(file);
	}
}

/* A new group of v1's cpuset hierarchy is empty, and refuses processes until it has both. */
static void inherit(const char *name, const char *what)
{
	char path[512], value[4096];
	ssize_t size;
	int file;

	snprintf(path, sizeof path, GROUPS "/cpuset/%s", what);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return;
	size = read(file, value, sizeof value);
	close(file);
	snprintf(path, sizeof path, GROUPS "/cpuset/%s/%s", name, what);
	file = open(path, O_WRONLY | O_CLOEXEC);
	need(file, path);
	need(write(file, value, size), path);
	close(file);
}

static void make_or_remove_groups(const char *name, int make)
{
	char path[512];

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, GROUPS "/%s/%s", controllers[i], name);
		need(make ? mkdir(path, 0755) : rmdir(path), path);
	}
	if (make) {
		inherit(name, "cpuset.cpus");
		inherit(name, "cpuset.mems");
	}
}

static void mount_at(const char *type, const char *at, unsigned long flags, const char *data)
{
	need(mount(type, at, type, flags, data), at);
}

static void mount_cgroups(void)
{
	char path[512], option[128];

	if (count == 1 && controllers[0][0] == '.') {
		mount_at("cgroup2", "sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
		return;
	}
	mount_at("tmpfs", "sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755");
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "sys/fs/cgroup/%s", controllers[i]);
		mkdir(path, 0755);
		snprintf(option, sizeof option, strcmp(controllers[i], "systemd") ? "%s" : "none,name=%s", controllers[i]);
		mount_at("cgroup", path, MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, option);
	}
}

static void make_devices(void)
{
	static const struct { const char *name; int major, minor; } devices[] = {
		{ "dev/null", 1, 3 }, { "dev/zero", 1, 5 }, { "dev/full", 1, 7 },
		{ "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 },
	};
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
		need(mknod(devices[i].name, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)), devices[i].name);
	need(symlink("/proc/self/fd", "dev/fd"), "dev/fd");
	need(symlink("/proc/self/fd/0", "dev/stdin"), "dev/stdin");
	need(symlink("/proc/self/fd/1", "dev/stdout"), "dev/stdout");
	need(symlink("/proc/self/fd/2", "dev/stderr"), "dev/stderr");
	need(symlink("pts/ptmx", "dev/ptmx"), "dev/ptmx");
}

static void hide(void)
{
	static const char *const masked[] = { "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi" };
	static const char *const read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };
	struct stat info;

	for (size_t i = 0; i < sizeof masked / sizeof *masked; i++)
		if (!stat(masked[i], &info)) {
			if (S_ISDIR(info.st_mode))
				need(mount("tmpfs", masked[i], "tmpfs", MS_RDONLY, NULL), masked[i]);
			else
				need(mount("/dev/null", masked[i], NULL, MS_BIND, NULL), masked[i]);
		}
	for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++)
		if (!stat(read_only[i], &info)) {
			need(mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL), read_only[i]);
			need(mount(NULL, read_only[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), read_only[i]);
		}
}

static void init(const char *rootfs, const char *name)
{
	static const unsigned long dull = MS_NOSUID | MS_NOEXEC | MS_NODEV;

	join_groups(name);
	need(unshare(CLONE_NEWCGROUP), "unshare");
	need(sethostname("floor", 5), "sethostname");
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "/");
	need(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL), rootfs);
	need(chdir(rootfs), rootfs);
	mount_at("proc", "proc", 0, NULL);
	mount_at("tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
	need(mkdir("dev/pts", 0755) | mkdir("dev/shm", 0755) | mkdir("dev/mqueue", 0755), "dev");
	mount_at("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
	mount_at("tmpfs", "dev/shm", dull, "mode=1777,size=65536k");
	mount_at("mqueue", "dev/mqueue", dull, NULL);
	mount_at("sysfs", "sys", dull | MS_RDONLY, NULL);
	mount_cgroups();
	make_devices();
	need(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	need(umount2(".", MNT_DETACH), "umount");
	need(chdir("/"), "chdir");
	hide();
	need(mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), "remount");
	execl("/bin/true", "true", (char *)NULL);
	perror("/bin/true");
	_exit(127);
}

int main(int argc, char **argv)
{
	struct clone_args how = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET,
		.exit_signal = SIGCHLD,
	};
	int status;
	long pid;

	if (argc != 3)
		return 2;
	find_controllers();
	make_or_remove_groups(argv[2], 1);
	pid = syscall(SYS_clone3, &how, sizeof how);
	need(pid, "clone3");
	if (!pid)
		init(argv[1], argv[2]);
	waitpid(pid, &status, 0);
	make_or_remove_groups(argv[2], 0);
	return !WIFEXITED(status) || WEXITSTATUS(status);
}
