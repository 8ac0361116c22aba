# SPDX-License-Identifier: MIT
# An order is a text with one fact a line; see orders/ada.txt.

# order_read: prints the order on standard input as "key|value" and "item|quantity|cents|name" lines.
order_read() {
    while read -r key value; do
        case $key in
        '' | '#'*) ;;
        to | date | terms) printf '%s|%s\n' "$key" "$value" ;;
        item) order_item "$value" || return ;;
        *) printf 'order: unknown word: %s\n' "$key" >&2 && return 1 ;;
        esac
    done
}

# order_item "QUANTITY PRICE NAME": prints one item line.
order_item() {
    quantity=${1%% *}
    text_trim "${1#* }" && name=${answer#* }
    money_parse "${answer%% *}" || return
    price=$answer
    text_trim "$name"
    printf 'item|%s|%s|%s\n' "$quantity" "$price" "$answer"
}
