// etcd itself, of a version that is newer than Debian's: the API server offers WatchList with it.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
