/*
 * Many clients of event streams, in one thread.
 *
 *   clients PORT PATH COUNT [timed] [silent] [stalled] [slowly]
 *
 * opens COUNT streams, some at a time, and prints "ready" when each has received its first event. A #
 * in the path stands for the client's number.
 * "silent" is for a server that sends nothing before the first event: "ready" then means that each
 * has sent its request. "stalled" clients have the smallest buffers, so that the server's fill soon. "slowly" opens a few at a
 * time, and takes a stream as ready only when it has received that word.
 *
 * Each line of standard input has a number of events and of seconds: when every client has received
 * that many more events, or none has arrived for that many seconds, the program prints the number of
 * events in all, missing events, surplus events, clients that have ended, bytes received, four
 * percentiles of the latency, and how many events were not later than the client's one before. With
 * -1 events it waits until all streams have ended.
 *
 * Events are recognised by their mark, which is in nothing else that the server writes. It is
 * followed by 19 digits: when the event was published, in nanoseconds of the clock that all
 * processes share. With "timed", the time from then to the receipt is recorded, and the order of
 * the events is checked.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MARK = '@', DIGITS = 19 };

struct client {
    int fd, blank, events, is_ready, has_ended, digits;
    int64_t stamp, last;
};

static struct client *clients;
static char data[1 << 18];
static int is_timed, is_silent, is_stalled, is_slow;
static int64_t bytes;
static long late;
static uint32_t *latencies; /* In microseconds. */
static size_t kept, room;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void keep(int64_t latency)
{
    if (kept == room) {
        room = room ? 2 * room : 1 << 16;
        latencies = realloc(latencies, room * sizeof *latencies);
        if (!latencies)
            exit(1);
    }
    latencies[kept++] = latency < 0 ? 0 : latency / 1000;
}

static int compare(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static double milliseconds(double share)
{
    size_t at = share * kept;
    return kept ? latencies[at < kept ? at : kept - 1] / 1000.0 : 0;
}

/* Read the digits after a mark, which may come in two reads. */
static char *read_stamp(struct client *client, char *at, char *end, int64_t time)
{
    for (; client->digits && at < end; at++) {
        client->stamp = client->stamp * 10 + *at - '0';
        if (!--client->digits) {
            keep(time - client->stamp);
            late += client->stamp <= client->last;
            client->last = client->stamp;
        }
    }
    return at;
}

static int count_events(struct client *client, int got)
{
    char *at = data, *end = data + got;
    int64_t time = is_timed ? now() : 0;
    int found = 0;
    if (client->digits)
        at = read_stamp(client, at, end, time);
    while ((at = memchr(at, MARK, end - at))) {
        at++;
        found++;
        if (is_timed) {
            client->digits = DIGITS;
            client->stamp = 0;
            at = read_stamp(client, at, end, time);
        }
    }
    return found;
}

/* The first blank line ends the headers, the second the first event; lines end with \n or \r\n. */
static int has_begun(struct client *client, int got)
{
    for (char *at = data; at < data + got && client->blank < 4; at++) {
        if (*at == '\n')
            client->blank++;
        else if (*at != '\r')
            client->blank &= ~1;
    }
    return client->blank == 4;
}

static int read_some(struct client *client)
{
    int got = recv(client->fd, data, sizeof data, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            client->has_ended = 1;
            close(client->fd);
        }
        return 0;
    }
    bytes += got;
    if (!client->is_ready) {
        client->is_ready = is_slow ? !!memmem(data, got, "ready", 5) : has_begun(client, got);
        return 0;
    }
    int found = count_events(client, got);
    client->events += found;
    return found;
}

static int open_stream(struct client *client, struct sockaddr_in *address)
{
    int least = 1, segment = 536;
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (is_stalled) {
        setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
        setsockopt(client->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    }
    client->is_ready = is_silent;
    return connect(client->fd, (struct sockaddr *)address, sizeof *address);
}

static int ask(int fd, const char *path, int number)
{
    const char *gap = strchr(path, '#');
    char own[512], request[1024];
    if (gap)
        snprintf(own, sizeof own, "%.*s%d%s", (int)(gap - path), path, number, gap + 1);
    int length = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n", gap ? own : path);
    return send(fd, request, length, MSG_NOSIGNAL);
}

static int open_all(int epoll, int count, int port, const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN}, events[1024];

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int opened = 0, ready = 0; ready < count;) {
        while (opened < count && opened - ready < (is_slow ? 8 : 64)) {
            struct client *client = clients + opened;
            if (open_stream(client, &address))
                return perror("connect"), 1;
            ask(client->fd, path, opened);
            ready += client->is_ready;
            event.data.u32 = opened++;
            epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event);
        }
        if (ready == count)
            break;
        int some = epoll_wait(epoll, events, 1024, 20000);
        if (some <= 0)
            return fprintf(stderr, "only %d of %d streams began\n", ready, count), 1;
        for (int at = 0; at < some; at++) {
            struct client *client = clients + events[at].data.u32;
            int was_ready = client->is_ready;
            read_some(client);
            ready += client->is_ready && !was_ready;
            if (client->has_ended && !client->is_ready)
                return fprintf(stderr, "a stream ended before it began\n"), 1;
        }
    }
    return 0;
}

static void answer(int epoll, int count, int wanted, double seconds)
{
    struct epoll_event events[1024];
    int64_t patience = seconds * 1e9, deadline = now() + patience;
    long total = 0, lacking = 0, extra = 0;
    int ended = 0;
    for (int at = 0; at < count; at++)
        ended += clients[at].has_ended;
    while (wanted < 0 ? ended < count : total < (long)wanted * count) {
        int64_t left = deadline - now();
        int found = 0;
        if (left <= 0)
            break;
        int some = epoll_wait(epoll, events, 1024, left / 1000000 + 1);
        for (int at = 0; at < some; at++) {
            struct client *client = clients + events[at].data.u32;
            found += read_some(client);
            ended += client->has_ended;
        }
        total += found;
        if (found)
            deadline = now() + patience;
    }
    for (int at = 0; wanted >= 0 && at < count; at++) {
        int off = clients[at].events - wanted;
        *(off < 0 ? &lacking : &extra) += abs(off);
        clients[at].events = 0;
    }
    qsort(latencies, kept, sizeof *latencies, compare);
    printf("%ld %ld %ld %d %ld %.3f %.3f %.3f %.3f %ld\n", total, lacking, extra, ended, (long)bytes,
        milliseconds(0.5), milliseconds(0.99), milliseconds(0.999), milliseconds(1), late);
    kept = bytes = late = 0;
}

int main(int argc, char **argv)
{
    int count = atoi(argv[3]), epoll = epoll_create1(0), wanted;
    struct rlimit limit;
    char line[64];
    double seconds;

    for (int at = 4; at < argc; at++) {
        is_timed |= !strcmp(argv[at], "timed");
        is_silent |= !strcmp(argv[at], "silent");
        is_stalled |= !strcmp(argv[at], "stalled");
        is_slow |= !strcmp(argv[at], "slowly");
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    clients = calloc(count, sizeof *clients);
    if (!clients || open_all(epoll, count, atoi(argv[1]), argv[2]))
        return 1;
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%d %lf", &wanted, &seconds) != 2)
            return 1;
        answer(epoll, count, wanted, seconds);
        fflush(stdout);
    }
    return 0;
}
