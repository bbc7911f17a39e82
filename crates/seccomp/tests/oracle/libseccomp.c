/* Drives libseccomp by lines on stdin, as runc drives it, and writes the programs it makes to stdout.
 *
 *   resolve ARCH NAME          -> NUMBER (negative: not there)
 *   new DEFAULT [ARCH...]      the native architecture and these; a leading 0 stands for "without the native"
 *   rule ACTION NAME [INDEX OP A B]...
 *   build                      -> LENGTH and as many bytes, or 0: a rule was refused
 *
 * All numbers are hexadecimal, OP is that of enum scmp_compare.
 */
#define _GNU_SOURCE
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static scmp_filter_ctx ctx;
static int refused;

static unsigned long long number(void)
{
	const char *word = strtok(NULL, " \n");
	return word ? strtoull(word, NULL, 16) : 0;
}

static void new_filter(void)
{
	const char *word;
	if (ctx)
		seccomp_release(ctx);
	ctx = seccomp_init(number());
	refused = ctx ? 0 : 1;
	while ((word = strtok(NULL, " \n"))) {
		unsigned long arch = strtoul(word, NULL, 16);
		if (arch == 0)
			refused |= seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE) != 0;
		else if (seccomp_arch_exist(ctx, arch) != 0)
			refused |= seccomp_arch_add(ctx, arch) != 0;
	}
}

static void add_rule(void)
{
	struct scmp_arg_cmp args[6];
	unsigned int count = 0;
	unsigned int action = number();
	const char *name = strtok(NULL, " \n"), *word;
	int nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR)
		return;
	while (count < 6 && (word = strtok(NULL, " \n"))) {
		args[count].arg = strtoul(word, NULL, 16);
		args[count].op = number();
		args[count].datum_a = number();
		args[count].datum_b = number();
		count++;
	}
	int rc = seccomp_rule_add_array(ctx, action, nr, count, args);
	if (rc != 0)
		refused = 1;
}

static void build(void)
{
	int fd = memfd_create("bpf", 0);
	static char buffer[1 << 22];
	ssize_t length = 0;
	if (!refused && seccomp_export_bpf(ctx, fd) == 0)
		length = pread(fd, buffer, sizeof buffer, 0);
	close(fd);
	printf("%zd\n", length);
	fwrite(buffer, 1, length, stdout);
}

int main(void)
{
	static char line[1 << 16];
	while (fgets(line, sizeof line, stdin)) {
		const char *verb = strtok(line, " \n");
		if (!verb)
			continue;
		if (!strcmp(verb, "new"))
			new_filter();
		else if (!strcmp(verb, "rule"))
			add_rule();
		else if (!strcmp(verb, "build"))
			build();
		else if (!strcmp(verb, "resolve")) {
			unsigned int arch = number();
			printf("%d\n", seccomp_syscall_resolve_name_arch(arch, strtok(NULL, " \n")));
		}
		if (strcmp(verb, "rule") && strcmp(verb, "new"))
			fflush(stdout);
	}
	return 0;
}
