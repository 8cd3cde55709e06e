using System.Text.RegularExpressions;

namespace Flamingo.Evaluation.Metrics;

/// <summary>
/// American spellings of British words, as the tokenizer of CIDEr writes them before it counts: a caption with "grey" meets references with
/// "gray". Words with capitals are left alone, as there.
/// </summary>
internal static partial class AmericanSpelling
{
    private const string Pairs = """
        anaesthetic:anesthetic analogue:analog analogues:analogs analyse:analyze analysed:analyzed analysing:analyzing armoured:armored
        cancelled:canceled cancelling:canceling capitalise:capitalize capitalised:capitalized capitalisation:capitalization centre:center
        coloured:colored colouring:coloring colourful:colorful defence:defense discoloured:discolored discolouring:discoloring
        encyclopaedia:encyclopedia endeavoured:endeavored endeavouring:endeavoring favoured:favored favouring:favoring favourite:favorite
        favourites:favorites fibre:fiber fibres:fibers finalise:finalize finalised:finalized finalising:finalizing flavoured:flavored
        flavouring:flavoring grey:gray homologue:homolog homologues:homologs honoured:honored honouring:honoring honourable:honorable
        humoured:humored humouring:humoring kerb:curb labelled:labeled labelling:labeling laboured:labored labouring:laboring leant:leaned
        learnt:learned localise:localize localised:localized manoeuvre:maneuver manoeuvres:maneuvers maximise:maximize maximised:maximized
        maximising:maximizing meagre:meager minimise:minimize minimised:minimized minimising:minimizing modernise:modernize
        modernised:modernized modernising:modernizing neighbourhood:neighborhood neighbourhoods:neighborhoods oestrogen:estrogen
        oestrogens:estrogens organisation:organization organisations:organizations penalise:penalize penalised:penalized
        popularise:popularize popularised:popularized popularises:popularizes popularising:popularizing practise:practice
        practised:practiced pressurise:pressurize pressurised:pressurized pressurises:pressurizes pressurising:pressurizing realise:realize
        realised:realized realising:realizing realises:realizes recognise:recognize recognised:recognized recognising:recognizing
        recognises:recognizes rumoured:rumored rumouring:rumoring savoured:savored savouring:savoring theatre:theater theatres:theaters
        titre:titer titres:titers travelled:traveled travelling:traveling
        """;

    private static readonly Dictionary<string, string> Words = Pairs.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
        .Select(pair => pair.Split(':')).ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal);

    public static string Of(string word) => Words.GetValueOrDefault(word)
        ?? (word.Length < 6 || Exceptions().IsMatch(word) ? word : Programme().Replace(Our().Replace(word, "$1or$2"), "program$1"));

    [GeneratedRegex("^([a-z]{3,})our(s?)$", RegexOptions.CultureInvariant)]
    private static partial Regex Our();

    [GeneratedRegex("programme(s?)$", RegexOptions.CultureInvariant)]
    private static partial Regex Programme();

    [GeneratedRegex("abatjour|beflour|bonjour|calambour|carrefour|cornflour|contour|de[tv]our|downpour|glamour|inpour|outpour|paramour"
        + "|pompadour|recontour|tambour|troubadour|velour", RegexOptions.CultureInvariant)]
    private static partial Regex Exceptions();
}
