# SPDX-License-Identifier: MIT
# What an order costs, and the page that says so. Amounts are cents.

# invoice_line QUANTITY PRICE: ten or more of one thing are 10 % cheaper.
invoice_line() {
    amount=$(($1 * $2))
    answer=0
    if [ "$1" -gt 10 ]; then
        money_percent "$amount" 10
    fi
    answer=$((amount - answer))
}

# invoice_shipping GOODS: free from 50.00, and when there is nothing to send.
invoice_shipping() {
    answer=490
    if [ "$1" -eq 0 ] || [ "$1" -ge 5000 ]; then
        answer=0
    fi
}

# invoice_row LABEL CENTS: prints one line of the page.
invoice_row() {
    money_format "$2"
    printf '%-30s %12s\n' "$1" "$answer"
}

# invoice_print: standard input is an order, standard output its invoice.
invoice_print() {
    order_read | {
        goods=0 date='' terms=14
        while IFS='|' read -r key value price name; do
            case $key in
            to) printf 'To %s\n' "$value" ;;
            date) date=$value && date_weekday_name "$date" && printf '%s %s\n' "$answer" "$date" ;;
            terms) terms=$value ;;
            item)
                text_fit "$value x $name" 30 && label=$answer
                invoice_line "$value" "$price"
                goods=$((goods + answer))
                invoice_row "$label" "$answer"
                ;;
            esac
        done
        invoice_shipping "$goods"
        shipping=$answer
        money_percent $((goods + shipping)) 20
        vat=$answer
        invoice_row Shipping "$shipping"
        invoice_row 'VAT 20 %' "$vat"
        invoice_row Total $((goods + shipping + vat))
        date_due "$date" "$terms" && date=$answer
        date_weekday_name "$date"
        printf 'Please pay by %s %s\n' "$answer" "$date"
    }
}
