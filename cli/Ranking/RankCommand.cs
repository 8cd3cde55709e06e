using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Ranking;

/// <summary><c>flamingo rank</c> scores candidates after a prompt, with a model in this process or on a server.</summary>
public static class RankCommand
{
    public static Command Create()
    {
        var candidates = new Option<string[]>("--candidate", "-c")
        {
            HelpName = "TEXT", Required = true,
            Description = "A possible answer, including its leading space, for example \" jano\". Repeatable.",
        };
        var json = new Option<bool>("--json")
        {
            Description = "Print one JSON object: candidates in the order given (text, ids, token_log_likelihoods, log_likelihood), "
                + "prompt_tokens, pictures, cache, timings (milliseconds); also shots with --support-set, cached_tokens with --pin.",
        };
        var (question, ensemble) = (new QuestionOptions(), new EnsembleOptions());
        const string Description =
            "Print how likely candidate answers are after a prompt of pictures and text: one line per candidate with "
        + "its log-likelihood and text, the most likely first. All other output goes to standard error. The command does not use the "
        + "member 'sampling' of a prompt file.";
        var command = new Command("rank", Description) { candidates };
        question.AddTo(command);
        ensemble.AddTo(command, question.HasExamples);
        command.Add(json);
        candidates.Validators.Add(result =>
        {
            if (result.Tokens.Any(token => token.Value.Length == 0))
                result.AddError("--candidate: a candidate is empty. Give each candidate at least one character.");
        });
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var names = new FieldNames();
            var asked = question.Read(parsed, names);
            var orders = ensemble.Read(parsed);
            await using var opened = await question.OpenAsync(parsed, names, error, cancellation);
            asked = await question.EndShotsAsync(parsed, asked, opened.Flamingo, cancellation);
            var request = new FlamingoRankRequest(asked.Segments, parsed.GetRequiredValue(candidates))
            {
                Tenant = asked.Tenant, SupportSet = asked.SupportSet, PinPrefix = asked.PinPrefix, Ensemble = orders,
            };
            names.Add("ensemble", "--ensemble");
            names.Add("candidates", candidates.Name);
            foreach (var (index, candidate) in request.Candidates.Index())
                names.Add($"candidates[{index}]", $"{candidates.Name} \"{candidate}\"");
            var ranking = await names.AskAsync(() => opened.Flamingo.RankAsync(request, cancellation));
            if (parsed.GetValue(json)) await output.WriteLineAsync(RankingReport.Json(ranking, request));
            else await RankingReport.WriteAsync(ranking, output, error);
            return ExitCode.Done;
        });
        return command;
    }
}
