using System.Text.Json;
using Flamingo.Abstractions;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>The names under which the one model of this service may be asked for, and <c>/v1/models</c>.</summary>
internal sealed class ServedModels(IFlamingo flamingo, IOptions<GatewayOptions> options, IConfiguration configuration, TimeProvider time)
{
    private readonly long _created = time.GetUtcNow().ToUnixTimeSeconds();

    // Without configured aliases, the name of the model's directory is one, in a process that has the directory.
    private readonly string[] _aliases = options.Value.ModelAliases.Length > 0
        ? options.Value.ModelAliases.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
        : configuration["Model:Directory"] is { Length: > 0 } directory
            ? [Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory)))]
            : [];

    /// <summary>Checks the model of a request and describes the one that answers.</summary>
    /// <param name="name">Null is taken for the model that there is.</param>
    /// <exception cref="OpenAiFault">model_not_found.</exception>
    public async Task<FlamingoModel> CheckAsync(string? name, CancellationToken cancellation)
    {
        var model = await flamingo.GetModelAsync(cancellation);
        var names = Names(model);
        return name is null || names.Contains(name)
            ? model
            : throw OpenAiFault.NotFound(
                "model_not_found",
                $"There is no model '{OpenAiFault.Quote(name)}'. This server has {string.Join(", ", names)}; docs/options.md says how "
                + "Gateway:ModelAliases adds names.", "model");
    }

    public async Task ListAsync(HttpContext context)
    {
        var names = Names(await flamingo.GetModelAsync(context.RequestAborted));
        await OpenAiJson.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("object", "list");
            json.WriteStartArray("data");
            foreach (var name in names) Write(json, name);
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    public async Task GetAsync(HttpContext context)
    {
        var name = (string)context.Request.RouteValues["id"]!;
        await CheckAsync(name, context.RequestAborted);
        await OpenAiJson.WriteAsync(context, json => Write(json, name));
    }

    private List<string> Names(FlamingoModel model) => [.. _aliases.Prepend(model.Language.ModelId).Distinct(StringComparer.Ordinal)];

    private void Write(Utf8JsonWriter json, string name)
    {
        json.WriteStartObject();
        json.WriteString("id", name);
        json.WriteString("object", "model");
        json.WriteNumber("created", _created);
        json.WriteString("owned_by", "flamingo");
        json.WriteEndObject();
    }
}
