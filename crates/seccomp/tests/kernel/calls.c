/* Makes the system calls named on the command line and prints what each returns, a negative errno on failure.
 *
 *   ABI:NUMBER[:ARGUMENT]...   ABI is 64 (the syscall instruction) or 32 (int 0x80, the i386 table), numbers are hexadecimal
 *
 * Each result is a line `= VALUE`. No libc function between the calls that is not needed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __x86_64__
static long call32(long nr, long a, long b, long c)
{
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"((int)nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}
#else
static long call32(long nr, long a, long b, long c)
{
	(void)nr, (void)a, (void)b, (void)c;
	return -ENOSYS;
}
#endif

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	puts(""); /* the test harness has begun a line */
	for (int i = 1; i < argc; i++) {
		unsigned long word[8] = { 0 };
		int count = 0;
		for (char *at = strtok(argv[i], ":"); at && count < 8; at = strtok(NULL, ":"))
			word[count++] = strtoul(at, NULL, 16);
		long result;
		if (word[0] == 0x32) {
			result = call32(word[1], word[2], word[3], word[4]);
		} else {
			result = syscall(word[1], word[2], word[3], word[4], word[5], word[6], word[7]);
			if (result == -1)
				result = -errno;
		}
		printf("= %ld\n", result);
	}
	return 0;
}
