# What the shell lines of clients and checks have in common.

# The server's address as it stands in a URL.
case $SERVER in
*:*) HOST="[$SERVER]" ;;
*) HOST=$SERVER ;;
esac
URL="ftp://$USER:$PASSWORD@$HOST"

# midway COMMAND...: copies standard input to `got`. When a transfer of `big` is well under way, and
# the server has to wait because nobody reads on, COMMAND is run.
midway() {
    head -c 100000 >got
    "$@" >midway.log 2>&1
    cat >>got
}

# trickle: copies standard input to `got` over DURATION seconds, 40000 bytes in each, then the rest.
trickle() {
    : >got
    for second in $(seq "$DURATION"); do
        head -c 40000 >>got
        sleep 1
    done
    cat >>got
}

# all_fifty: `fetched` is the server's `many`.
all_fifty() {
    diff -r fetched "$S/many"
}
