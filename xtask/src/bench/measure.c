/* measure RUNS CASE [-- CASE]...
 *
 * Runs each case once, then each once again, RUNS times over: what disturbs the machine disturbs all cases alike.
 * A case is one or more commands, separated by the word `-+`; behind `-~` in its place stands one whose time and memory do
 * not count. In a word `%n` stands for the number of the run, and `%-` for a `-`. The word `-=` ends a case but for its
 * sums: the commands behind it are another case that includes it.
 * For every run of every case prints a line `CASE NANOSECONDS KIBIBYTES`: the wall time of all its commands from
 * fork to exit, and the largest peak of resident memory among them. A command that fails ends everything. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The word with every `%n` replaced by the number. */
static char *numbered(const char *word, int number)
{
	size_t room = strlen(word) + 32;
	char *out = malloc(room), *end = out;
	for (; *word; word++) {
		if (word[0] == '%' && word[1] == 'n') {
			end += snprintf(end, room - (end - out), "%d", number);
			word++;
		} else if (word[0] == '%' && word[1] == '-') {
			*end++ = *++word;
		} else {
			*end++ = *word;
		}
	}
	*end = 0;
	return out;
}

/* Runs one command; adds its wall time and raises the peak. */
static void run(char **words, int count, int number, long long *time, long *peak)
{
	char **argv = calloc(count + 1, sizeof *argv);
	posix_spawn_file_actions_t files;
	struct rusage usage;
	long long begun;
	pid_t pid;
	int status, error;

	for (int i = 0; i < count; i++)
		argv[i] = numbered(words[i], number);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	begun = now();
	error = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ);
	if (error) {
		fprintf(stderr, "measure: execute `%s`: %s\n", argv[0], strerror(error));
		exit(1);
	}
	while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
		;
	*time += now() - begun;
	if (usage.ru_maxrss > *peak)
		*peak = usage.ru_maxrss;
	if (status) {
		fprintf(stderr, "measure: `%s %s ...` of run %d: status %#x\n", argv[0], count > 1 ? argv[1] : "", number, status);
		exit(1);
	}
	for (int i = 0; i < count; i++)
		free(argv[i]);
	free(argv);
	posix_spawn_file_actions_destroy(&files);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: measure RUNS CASE [-- CASE]...\n");
		return 2;
	}
	for (int number = 0; number < atoi(argv[1]); number++) {
		int which = 0, from = 2, counts = 1;
		long long time = 0, unused_time;
		long peak = 0, unused_peak;
		for (int at = 2; at <= argc; at++) {
			int ends = at == argc || !strcmp(argv[at], "--");
			int laps = !ends && !strcmp(argv[at], "-=");
			int excludes = !ends && !strcmp(argv[at], "-~");
			if (!ends && !laps && !excludes && strcmp(argv[at], "-+"))
				continue;
			if (at > from)
				run(argv + from, at - from, number, counts ? &time : &unused_time,
				    counts ? &peak : &unused_peak);
			from = at + 1;
			counts = !excludes;
			if (ends || laps) {
				printf("%d %lld %ld\n", which++, time, peak);
				fflush(stdout);
			}
			if (ends)
				time = peak = 0;
		}
	}
	return 0;
}
