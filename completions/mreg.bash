# Completion of mreg for bash. Made by `mreg completion bash`.
_mreg() {
    local line=${COMP_LINE:0:COMP_POINT} breaks= char word rest
    local -a typed
    IFS=$' \t\n' read -ra typed <<<"$line"
    [[ $line == *[[:space:]] ]] && typed+=("")
    word=${typed[${#typed[@]}-1]}
    mapfile -t COMPREPLY < <(
        COMP_WORDS=$line COMP_CWORD=$((${#typed[@]} - 1)) _MREG_COMPLETE=complete_bash "$1" 2>/dev/null
    )
    # Without an offer the shell's own completion of files comes in.
    [[ ${#COMPREPLY[@]} == 1 && -z ${COMPREPLY[0]} ]] && COMPREPLY=() && return
    # Readline breaks words at these, and replaces only what stands behind the last one.
    for char in @ : =; do
        [[ $COMP_WORDBREAKS == *"$char"* ]] && breaks+=$char
    done
    if [[ -n $breaks && $word == *["$breaks"]* ]]; then
        rest=${word##*["$breaks"]}
        # An @ that begins a word it takes along.
        [[ ${word%"$rest"} == *@ ]] && rest=@$rest
        COMPREPLY=("${COMPREPLY[@]#"${word%"$rest"}"}")
    fi
}
complete -o default -F _mreg mreg
