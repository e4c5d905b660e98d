/*
 * Many clients of event streams, in one thread.
 *
 *   clients PORT PATH COUNT
 *
 * opens COUNT streams, some at a time, and prints "ready" when each has had its first event. Then
 * each line of standard input is a number of events to wait for: when every client has had as many
 * more, or ten seconds have passed without any, it prints how many came in all, how many clients had
 * too few or too many, and how many had ended; -1 waits until all have ended. An event is what a line with "data: 0" begins.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
    int fd, matched, events, is_ready, has_ended;
};

static struct client *clients;
static char data[1 << 18];
static const char MARK[] = "data: 0", FIRST[] = "\n\n";

/* Count in what was read, also across two reads. */
static int seen(struct client *client, const char *what, int length, int got)
{
    int found = 0;
    for (int at = 0; at < got; at++) {
        if (data[at] == what[client->matched])
            client->matched++;
        else
            client->matched = data[at] == what[0];
        if (client->matched == length) {
            found++;
            client->matched = 0;
        }
    }
    return found;
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
    if (!client->is_ready) {
        /* Headers end with \r\n\r\n, events with \n\n. */
        client->is_ready = seen(client, FIRST, 2, got) > 0;
        client->matched = 0;
        return 0;
    }
    int found = seen(client, MARK, sizeof MARK - 1, got);
    client->events += found;
    return found;
}

int main(int argc, char **argv)
{
    int count = atoi(argv[3]), epoll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    struct epoll_event event = {.events = EPOLLIN}, events[1024];
    struct rlimit limit;
    char request[1024], line[64];
    int length = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", argv[2]);

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    clients = calloc(count, sizeof *clients);
    for (int opened = 0, ready = 0; ready < count;) {
        while (opened < count && opened - ready < 64) {
            struct client *client = clients + opened;
            client->fd = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(client->fd, (struct sockaddr *)&address, sizeof address))
                return perror("connect"), 1;
            send(client->fd, request, length, MSG_NOSIGNAL);
            event.data.u32 = opened++;
            epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event);
        }
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
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        int wanted = atoi(line), wrong = 0, ended = 0, is_over = 0;
        long total = 0;
        while (wanted < 0 ? is_over < count : total < (long)wanted * count) {
            int some = epoll_wait(epoll, events, 1024, 10000);
            if (some <= 0)
                break;
            for (int at = 0; at < some; at++) {
                struct client *client = clients + events[at].data.u32;
                int had_ended = client->has_ended;
                total += read_some(client);
                is_over += client->has_ended && !had_ended;
            }
        }
        for (int at = 0; at < count; at++) {
            wrong += clients[at].events != wanted;
            ended += clients[at].has_ended;
            clients[at].events = 0;
        }
        printf("%ld %d %d\n", total, wrong, ended);
        fflush(stdout);
    }
    return 0;
}
