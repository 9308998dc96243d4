// The raw rate of an etcd: compare-and-swap transactions of two puts of 200 bytes through etcd's own Go client, a block of its own per worker. It is what
// `make bench rest-alloc-1` compares the REST API with. Prints one JSON object.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func main() {
	endpoints := flag.String("endpoints", "http://127.0.0.1:2379", "comma-separated client URLs")
	inFlight := flag.Int("in-flight", 64, "transactions in flight")
	count := flag.Int("count", 10000, "transactions to make")
	prefix := flag.String("prefix", "/raw", "root of the keys that are written")
	pause := flag.Duration("pause", 0, "pause of each worker between two transactions")
	flag.Parse()
	if err := run(strings.Split(*endpoints, ","), *inFlight, *count, *prefix, *pause); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(endpoints []string, inFlight, count int, prefix string, pause time.Duration) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()

	value := strings.Repeat("x", 200)
	perWorker := count / inFlight
	latencies := make([][]time.Duration, inFlight)
	failures := make([]error, inFlight)
	var workers sync.WaitGroup
	start := time.Now()
	for worker := 0; worker < inFlight; worker++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			block := fmt.Sprintf("%s/blocks/%d", prefix, worker)
			var revision int64
			for index := 0; index < perWorker; index++ {
				sent := time.Now()
				answer, err := client.Txn(ctx).
					If(clientv3.Compare(clientv3.ModRevision(block), "=", revision)).
					Then(clientv3.OpPut(block, value), clientv3.OpPut(fmt.Sprintf("%s/addresses/%d-%d", prefix, worker, index), value)).
					Commit()
				if err == nil && !answer.Succeeded {
					err = fmt.Errorf("a compare failed on %s, which nobody else writes", block)
				}
				if err != nil {
					failures[worker] = err
					return
				}
				latencies[worker] = append(latencies[worker], time.Since(sent))
				revision = answer.Header.Revision
				if pause > 0 {
					time.Sleep(pause)
				}
			}
		}()
	}
	workers.Wait()
	took := time.Since(start)
	var all []time.Duration
	for worker := range latencies {
		if failures[worker] != nil {
			return failures[worker]
		}
		all = append(all, latencies[worker]...)
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	at := func(part float64) float64 {
		return float64(all[int(part*float64(len(all)-1))].Microseconds()) / 1000
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"count": len(all), "seconds": took.Seconds(), "rate": float64(len(all)) / took.Seconds(), "p50Ms": at(0.5), "p99Ms": at(0.99),
	})
}
